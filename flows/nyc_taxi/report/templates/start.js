/* The page: draw all panels, and again whenever a filter changes. */
const numbers = [...document.querySelectorAll("details.numbers")];

function showPanel(name, panel, s) {
  shown[name] = panel;
  const isEmpty = panel.rows ? !panel.rows.length : !panel.bars.length;
  const money = `Dollars: ${panel.money || moneyNote(s.chosen, s)}`, showsMoney = Boolean(panel.money) || s.isMoney && panel.hasMeasure;
  const { classList } = $(`panel-${name}`), wasHidden = classList.contains("nothing");
  classList.toggle("nothing", isEmpty);
  if (wasHidden && !isEmpty) dispatchEvent(new Event("resize")); // charts measure their panel then
  $(`answer-${name}`).textContent = panel.answer;
  $(`note-${name}`).textContent = [panel.note, showsMoney && !isEmpty && money].filter(Boolean).join(" ");
  $(`table-note-${name}`).textContent = panel.table[0].some((head) => head.includes("dollars")) ? money : "";
  if ($(`legend-${name}`)) showLegend(name, panel.legend);
  if ($(`ramp-${name}`)) showRamp(name, panel.ramp);
  if ($(`bars-${name}`)) showBars(name, panel.bars, panel.scale);
  if ($(`facts-${name}`)) $(`facts-${name}`).replaceChildren(...(panel.facts ? [makeTable(panel.facts)] : []));
}

/* `unknown`: filters of a link whose value the page does not have. */
async function refresh(unknown = []) {
  const start = performance.now(), filters = readFilters(), s = select(filters);
  writeLink(filters);
  for (const [name, [text, about]] of Object.entries(tiles(s))) {
    $(`tile-${name}`).textContent = text;
    $(`about-${name}`).textContent = about;
  }
  const trips = sum(s.chosen.map((month) => s.of(month, 0)));
  $("status").textContent = `${plural(trips, "trip")} in ${int(s.chosen.length)} of ${plural(LOADED.length, "month")}` +
    (s.zone ? `, picked up in ${zoneName(s.zone)}` : "") +
    (s.services.size < DATA.services.length ? `, ${[...s.services].join(" and ") || "no service"}` : "") + `, ${s.window}.` +
    (unknown.length ? ` The link's ${unknown.join(" and ")} is not on this page.` : "");
  $("money").textContent = `Dollars on this page, unless a panel says otherwise: ${moneyNote(s.chosen, s)}`;
  const active = { service: s.services.size < DATA.services.length, month: s.month, zone: s.zone, measure: s.isMoney, year: s.year };
  for (const item of document.querySelectorAll("[data-filter]")) {
    item.classList.toggle("active", Boolean(active[item.dataset.filter] && (s.zone || !item.closest(".with-zone"))));
  }
  await Promise.all(Object.entries(PANELS).map(async ([name, panel]) => {
    showPanel(name, panel(s), s);
    if (name === "zones" && views.zones) views.zones.signal("zone", s.zone);
    await draw(name, shown[name]);
  }));
  numbers.forEach(fillNumbers);
  performance.measure("refresh", { start });
}

async function start() {
  await openCubes();
  const unknown = readLink();
  $("lede").textContent = `${plural(sum(LOADED.map((month) => month.trips)), "trip")}, ${windowOf(LOADED)}.`;
  const points = DATA.shapes.flatMap(([, polygons]) => polygons.flat(2));
  const mapHeight = points.reduce((most, [, y]) => Math.max(most, y), 1);
  DATA.charts.zones.height = DATA.shapes.length ? Math.min(600, Math.round((($("chart-zones").clientWidth || 600) * mapHeight) / 1000)) : 0;
  DATA.charts.zones.params.find(({ name }) => name === "mapHeight").value = mapHeight;
  if (!DATA.shapes.length) delete DATA.charts.zones;
  await Promise.all(Object.entries(DATA.charts).map(([name, spec]) => embed(name, spec)));
  numbers.forEach(prepareNumbers);
  form.addEventListener("change", () => refresh());
  $("theme").addEventListener("change", setTheme);
  form.addEventListener("reset", () => setTimeout(() => refresh()));
  form.addEventListener("submit", (event) => event.preventDefault());
  document.querySelector(".skip").addEventListener("click", (event) => { // its hash is not one of filters
    event.preventDefault();
    $("main").focus();
  });
  addEventListener("hashchange", () => refresh(readLink()));
  addEventListener("beforeprint", () => { $("loaded").open = true; });
  await refresh(unknown);
  performance.mark("ready");
  document.documentElement.dataset.ready = "1";
}
start().catch((problem) => {
  $("status").textContent = `This browser cannot draw the panels (${problem.message}); open the page in a browser of 2023 or later. The table at the end has the months.`;
  document.documentElement.dataset.ready = "failed";
});
