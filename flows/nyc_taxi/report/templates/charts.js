/* Drawing: Vega charts, their tips, and the keyboard on charts whose marks can be chosen. */
const CONFIG = {
  background: null, font: "inherit", view: { stroke: null },
  axis: { labelColor: "var(--soft)", gridColor: "var(--rule)", domainColor: "var(--rule)", labelFontSize: 11, ticks: false, labelPadding: 6 },
  rect: { aria: false }, bar: { aria: false }, circle: { aria: false }, line: { aria: false }, rule: { aria: false }, text: { aria: false },
};
const views = {};
const shown = {};
const CHOICES = {
  zones: { pick: (row) => toggle("zone", row.zone), isChosen: (row) => form.elements.zone.value === String(row.zone) },
  months: {
    pick: (row) => row.services.length && toggleMonth(row.year, row.month),
    isChosen: (row) => form.elements.year.value === String(row.year) && form.elements.month.value === String(row.month),
  },
};

async function embed(name, spec) {
  const options = { actions: false, renderer: "svg", ast: true, logLevel: 1, config: CONFIG, tooltip: false };
  const { view } = await vegaEmbed($(`chart-${name}`), spec, options);
  views[name] = view;
  const over = (event, item) => (item && item.datum && shown[name] ? showTip(shown[name].tip(item.datum), event.clientX, event.clientY) : hideTip());
  view.addEventListener("mousemove", over);
  view.addEventListener("mouseout", hideTip);
  if (CHOICES[name]) makeChoosable(name, view);
}

function makeChoosable(name, view) {
  const { pick } = CHOICES[name], root = $(`chart-${name}`);
  const choose = (row) => { pick(row); refresh(); };
  view.addEventListener("click", (event, item) => item && item.datum && choose(item.datum));
  root.addEventListener("keydown", (event) => {
    const mark = event.target;
    if (!mark.__data__) return;
    if (event.key === "Enter" || event.key === " ") choose(mark.__data__.datum);
    else if (event.key.startsWith("Arrow")) focusMark(root, neighbor(root, mark, event.key));
    else if (event.key === "Escape") return hideTip();
    else return;
    event.preventDefault();
  });
  root.addEventListener("focusin", ({ target: mark }) => {
    if (!mark.__data__) return;
    const box = mark.getBoundingClientRect();
    showTip(shown[name].tip(mark.__data__.datum), box.x + box.width / 2, box.y + box.height / 2);
  });
  root.addEventListener("focusout", hideTip);
}

const marks = (root) => [...root.querySelectorAll("path[aria-label]")];

/* One mark is in the tab order; the arrow keys move it. */
function focusMark(root, mark) {
  if (!mark) return;
  for (const other of marks(root)) other.tabIndex = other === mark ? 0 : -1;
  mark.focus();
}

function neighbor(root, mark, key) {
  const center = (element) => { const box = element.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; };
  const [x, y] = center(mark), across = key === "ArrowLeft" || key === "ArrowRight";
  const sign = key === "ArrowRight" || key === "ArrowDown" ? 1 : -1;
  const cost = (other) => {
    const [dx, dy] = center(other).map((value, n) => value - [x, y][n]);
    const ahead = sign * (across ? dx : dy), aside = Math.abs(across ? dy : dx);
    return ahead > 1 && aside <= 2 * ahead ? ahead + 2 * aside : Infinity;
  };
  const next = best(marks(root), (other) => -cost(other));
  return next && cost(next) < Infinity ? next : null;
}

function labelMarks(name) {
  const root = $(`chart-${name}`), all = marks(root);
  for (const mark of all) {
    mark.setAttribute("role", "button");
    mark.removeAttribute("aria-roledescription");
    mark.setAttribute("aria-pressed", CHOICES[name].isChosen(mark.__data__.datum));
    if (!mark.hasAttribute("tabindex")) mark.tabIndex = -1;
  }
  if (all.length && !all.some((mark) => mark.tabIndex === 0)) all[0].tabIndex = 0;
}

function showTip([title, ...lines], x, y) {
  const tip = $("tip"), list = document.createElement("dl");
  for (const [name, value] of lines) list.append(node("dt", name), node("dd", value));
  tip.replaceChildren(node("b", title), list);
  tip.hidden = false;
  tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${y + 18 + tip.offsetHeight > innerHeight ? y - tip.offsetHeight - 12 : y + 18}px`;
}

function hideTip() {
  $("tip").hidden = true;
}

function node(tag, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const identity = (mark) => mark && (mark.__data__.datum.zone ?? mark.__data__.datum.key);

/* New rows make new marks: the one that has the focus keeps it. */
async function draw(name, panel) {
  const view = views[name], root = $(`chart-${name}`);
  if (!view) return;
  const active = CHOICES[name] && root.contains(document.activeElement) ? document.activeElement : null, kept = identity(active);
  for (const [signal, value] of Object.entries(panel.signals || {})) view.signal(signal, value);
  await view.data(name, panel.rows).runAsync();
  if (!CHOICES[name]) return;
  labelMarks(name);
  if (active) focusMark(root, marks(root).find((mark) => identity(mark) === kept));
}
