/* Everything that is HTML: legends, bars, facts, and the numbers of a panel to copy or save. */
function showLegend(name, items) {
  $(`legend-${name}`).replaceChildren(...items.map(({ color, border, text }) => {
    const item = node("span"), swatch = node("i");
    swatch.style.background = color || "transparent";
    if (border) swatch.style.boxShadow = `inset 0 0 0 1.5px ${border}`;
    item.append(swatch, text);
    return item;
  }));
}

function showRamp(name, texts) {
  $(`ramp-${name}`).replaceChildren(...(texts.length ? [null, ...texts] : []).map((text, n) => {
    const item = node("span"), swatch = node("i");
    swatch.style.background = `var(--ramp-${n})`;
    item.append(swatch, text || "");
    return item;
  }));
}

function showBars(name, bars, scale = (value) => value) {
  const most = Math.max(1, ...bars.map((bar) => scale(bar.value)));
  $(`bars-${name}`).replaceChildren(...bars.map(({ text, value, said, color }) => {
    const item = node("li"), line = node("i");
    line.style.width = `${(100 * scale(value)) / most}%`;
    if (color) line.style.background = color;
    item.append(node("span", text), node("b", said), line);
    return item;
  }));
}

const isNumber = (value) => value !== "" && !Number.isNaN(Number(value));

/* A column of numbers is aligned right; the first column has the names of the rows. */
function makeTable([head, rows]) {
  const table = node("table"), top = table.createTHead().insertRow(), body = table.createTBody();
  const hasNumbers = (n) => rows.every((row) => row[n] === "" || isNumber(String(row[n]).replace(/[,%]|\s.*/g, "")));
  const kinds = head.map((_, n) => (hasNumbers(n) ? {} : { class: "text" }));
  head.forEach((name, n) => top.append(node("th", name, { scope: "col", ...kinds[n] })));
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((value, n) => line.append(n
      ? node("td", typeof value === "number" ? whole.format(value) : value, kinds[n])
      : node("th", value, { scope: "row" })));
  }
  return table;
}

/* A spreadsheet would run a text that starts like a formula. */
const cell = (value) => (typeof value === "string" && /^[=+\-@\t\r]/.test(value) && !isNumber(value) ? `'${value}` : String(value));
const quoted = (value) => (/[",\r\n]/.test(cell(value)) ? `"${cell(value).replaceAll('"', '""')}"` : cell(value));
const asCsv = ([head, rows]) => "\ufeff" + [head, ...rows].map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
const asText = ([head, rows]) => [head, ...rows].map((row) => row.map((value) => cell(value).replace(/\s+/g, " ")).join("\t")).join("\n");

/* Returns whether the browser has copied. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.body.appendChild(node("textarea", text)); // not every browser lets a file use the clipboard
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  }
}

function saveFile(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function fillNumbers(details) {
  if (details.open) details.querySelector(".scroll").replaceChildren(makeTable(shown[details.dataset.panel].table));
}

function prepareNumbers(details) {
  const name = details.dataset.panel, copy = details.querySelector(".copy");
  details.addEventListener("toggle", () => fillNumbers(details));
  copy.addEventListener("click", async () => {
    copy.textContent = await copyText(asText(shown[name].table)) ? "Copied" : "Not allowed here";
    copy.focus();
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
  details.querySelector(".csv").addEventListener("click", () => saveFile(asCsv(shown[name].table), `${name}.csv`));
}
