/* The numbers of the page, and what a choice of filters selects of them. */
const DATA = JSON.parse(document.getElementById("payload").textContent);
const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const HOURS = 168, ZONES = 266, UNKNOWN_ZONE = 264, OUTSIDE = 265, STEPS = 7;
const TAXIS = ["yellow", "green"];
const DAY = 86400000;

const $ = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en-US");
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 });
const int = (value) => whole.format(Math.round(value));
const short = (value) => compact.format(value);
const usd = (value, format) => (value < 0 ? "−$" : "$") + format(Math.abs(value));
const cents = (value) => value.toFixed(2);
const percent = (value, digits = 1) => (100 * value).toFixed(digits) + "%";
const sum = (values) => values.reduce((total, value) => total + value, 0);
const padded = (number) => String(number).padStart(2, "0");
const plural = (count, word) => `${int(count)} ${word}${count === 1 ? "" : "s"}`;
const best = (rows, value) => rows.reduce((top, row) => (top === null || value(row) > value(top) ? row : top), null);

/* Cubes of 32-bit numbers: measure (trips, dollars, ...), month or part, column. Packed, the lowest
   bytes of all numbers come first. */
async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = bytes.length / 4, values = new Int32Array(count);
  for (let n = 0; n < count; n++) {
    values[n] = bytes[n] | (bytes[count + n] << 8) | (bytes[2 * count + n] << 16) | (bytes[3 * count + n] << 24);
  }
  return values;
}

class Cube {
  constructor(values, measures, parts) {
    Object.assign(this, { values, parts, columns: parts && values.length / measures / parts });
  }
  at(measure, part, column) {
    return this.values[(measure * this.parts + part) * this.columns + column];
  }
  /* Sum over parts, for each column. */
  total(measure, parts) {
    const totals = new Float64Array(this.columns);
    for (const part of parts) {
      const start = (measure * this.parts + part) * this.columns;
      for (let column = 0; column < this.columns; column++) totals[column] += this.values[start + column];
    }
    return totals;
  }
}

async function openCubes() {
  const months = DATA.months.length;
  const shapes = {
    week: [2, months], days: [2, months], zone: [2, months], payments: [3, months], rejections: [1, months],
    route: [2, DATA.route_parts.length], zone_week: [1, DATA.services.length * ZONES],
  };
  await Promise.all(Object.entries(shapes).map(async ([name, shape]) => {
    DATA[name] = new Cube(await unpack(DATA[name]), ...shape);
  }));
}

const LOADED = DATA.months.map(([service, key, rows, trips, rejected, dollars], n) => {
  const [year, month] = key.split("-").map(Number);
  return { n, service, key, year, month, rows, trips, rejected, dollars, label: `${MONTHS[month - 1]} ${year}` };
});
const ZONE = new Map(DATA.zones.map(([zone, name, borough]) => [zone, { zone, name, borough }]));
const zoneName = (zone) => (ZONE.get(zone) || { name: `Zone ${zone}` }).name;

/* The months that the filters choose, with their trips and dollars: of a zone, if one is chosen. */
function select(filters) {
  const ofServices = LOADED.filter((month) => filters.services.has(month.service));
  const chosen = ofServices.filter(
    (month) => (!filters.year || month.year === filters.year) && (!filters.month || month.month === filters.month),
  );
  const isMoney = filters.measure === "revenue";
  const of = (month, measure) => {
    if (filters.zone) return DATA.zone.at(measure, month.n, filters.zone);
    return measure ? month.dollars || 0 : month.trips;
  };
  return {
    ...filters, ofServices, chosen, isMoney, of,
    parts: chosen.map((month) => month.n),
    measure: isMoney ? 1 : 0,
    value: (trips, dollars) => (isMoney ? dollars : trips),
    show: (value) => (isMoney ? usd(value, short) : int(value)),
    brief: (value) => (isMoney ? usd(value, short) : short(value)),
    word: isMoney ? "dollars" : "trips",
    byDay: !filters.zone && (Boolean(filters.year) || spanOf(chosen) <= 12),
    window: windowOf(chosen),
  };
}

/* Months from the first to the last one. */
function spanOf(months) {
  const numbers = months.map((month) => 12 * month.year + month.month);
  return Math.max(...numbers) - Math.min(...numbers) + 1;
}

function windowOf(months) {
  if (!months.length) return "no month";
  const sorted = months.slice().sort((a, b) => (a.key < b.key ? -1 : 1));
  const first = sorted[0].label, last = sorted[sorted.length - 1].label;
  return first === last ? first : `${first} to ${last}`;
}

/* What dollars are of, and the rows that they leave out. */
function moneyNote(months, s) {
  const rejected = sum(months.map((month) => month.rejected));
  const unpaid = sum(months.filter((month) => month.dollars === null).map((month) => s.of(month, 0)));
  return `${windowOf(months)}; leaves out ${plural(rejected, "rejected row")}${s.zone ? " of all zones" : ""}` +
    (unpaid ? ` and ${plural(unpaid, "trip")} without amounts` : "") + ".";
}

/* The limits between up to seven classes, each rounded to two digits: classes of about equally many
   values, or of equal width. */
function limitsByRank(values) {
  const sorted = values.filter((value) => value > 0).sort((a, b) => a - b);
  return limits((share) => sorted[Math.floor(sorted.length * share)] || 0);
}
const limitsByWidth = (values) => limits((share) => Math.max(...values) * share);

function limits(valueAt) {
  const rounded = Array.from({ length: STEPS - 1 }, (_, k) => valueAt((k + 1) / STEPS)).map((value) => {
    const unit = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 1);
    return Math.round(value / unit) * unit;
  });
  return [...new Set(rounded)].filter((value) => value > 0);
}
const step = (value, breaks) => (value > 0 ? breaks.filter((limit) => value >= limit).length : -1);
