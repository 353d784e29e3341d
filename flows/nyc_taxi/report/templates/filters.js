/* The form of filters, and the link that carries its state. */
const form = $("filters");

function readFilters() {
  const data = new FormData(form);
  return {
    services: new Set(data.getAll("service")),
    year: Number(data.get("year")),
    month: Number(data.get("month")),
    zone: Number(data.get("zone")),
    measure: data.get("measure"),
  };
}

function writeLink(filters) {
  const link = new URLSearchParams();
  if (filters.services.size < DATA.services.length) link.set("service", [...filters.services].join(","));
  for (const name of ["year", "month", "zone"]) if (filters[name]) link.set(name, filters[name]);
  if (filters.measure !== "trips") link.set("show", filters.measure);
  const hash = String(link) && "#" + link;
  if (location.hash !== hash) history.replaceState(null, "", location.pathname + location.search + hash);
}

/* Values that the page does not have count as all. */
function readLink() {
  const link = new URLSearchParams(location.hash.slice(1));
  const services = link.has("service") ? link.get("service").split(",") : DATA.services;
  for (const box of form.querySelectorAll("[name=service]")) box.checked = services.includes(box.value);
  for (const name of ["year", "month", "zone"]) {
    const field = form.elements[name], value = link.get(name) || "";
    field.value = [...field.options].some((option) => option.value === value) ? value : "";
  }
  form.elements.measure.value = link.get("show") === "revenue" ? "revenue" : "trips";
}

const toggle = (field, value) => {
  form.elements[field].value = form.elements[field].value === String(value) ? "" : String(value);
};

function toggleMonth(year, month) {
  const { year: years, month: months } = form.elements;
  const again = years.value === String(year) && months.value === String(month);
  years.value = again ? "" : String(year);
  months.value = again ? "" : String(month);
}

function setTheme() {
  document.documentElement.dataset.theme = form.elements.theme.value;
}
