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
  const url = new URL(location.href);
  url.hash = link;
  try {
    if (url.href !== location.href) history.replaceState(null, "", url);
  } catch { /* Safari allows 100 changes in 30 seconds */ }
}

/* Values that the page does not have count as all; returns their names. */
function readLink() {
  const link = new URLSearchParams(location.hash.slice(1)), unknown = [];
  const asked = link.has("service") ? link.get("service").split(",") : DATA.services;
  const known = asked.filter((service) => !service || DATA.services.includes(service));
  if (known.length < asked.length) unknown.push("service");
  for (const box of form.querySelectorAll("[name=service]")) box.checked = !known.length || known.includes(box.value);
  for (const name of ["year", "month", "zone"]) {
    const field = form.elements[name], value = link.get(name) || "";
    const isKnown = [...field.options].some((option) => option.value === value);
    field.value = isKnown ? value : "";
    if (!isKnown) unknown.push(name);
  }
  form.elements.measure.value = link.get("show") === "revenue" ? "revenue" : "trips";
  return unknown;
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
  document.documentElement.dataset.theme = $("theme").value;
}
