/* The panels of money, rain and air. */
PANELS.payments = (s) => {
  const order = [1, 2, 0, 3, 4, 5, 6, -1, -2];
  const types = DATA.payment_types.map(([code, name], column) => ({ code, name, column, rank: order.indexOf(code) }));
  const years = new Map();
  let reversed = 0;
  const taxis = s.chosen.filter(isTaxi);
  for (const month of taxis) {
    const row = years.get(month.year) || new Float64Array(types.length);
    for (const { column } of types) {
      const value = DATA.payments.at(s.measure, month.n, column);
      if (value > 0) row[column] += value;
      else reversed += value; // a share cannot be negative
    }
    years.set(month.year, row);
  }
  const rows = [...years].flatMap(([year, values]) => types.map((type) => (
    { ...type, year, value: values[type.column], share: values[type.column] / (sum([...values]) || 1) }))).filter((row) => row.value);
  const all = sum(rows.map((row) => row.value));
  const share = (code) => sum(rows.filter((row) => row.code === code).map((row) => row.value)) / all;
  return {
    rows, money: s.isMoney ? moneyNote(taxis, s) : "",
    answer: all ? `${percent(share(1), 0)} of ${s.word} by card, ${percent(share(2), 0)} in cash.` : NO_TAXIS,
    note: reversed ? `Leaves out ${usd(reversed, int)}: types whose reversed charges are more than the others.` : "",
    tip: (row) => [`${row.name}, ${row.year}`, [s.isMoney ? "Paid" : "Trips", s.show(row.value)], ["Share", percent(row.share)]],
    legend: types.filter(({ code }) => rows.some((row) => row.code === code)).sort((a, b) => a.rank - b.rank)
      .map(({ name, rank }) => ({ color: `var(--part-${rank})`, text: name })),
    table: [["year", "payment type", s.word, "share"], rows.map((row) => [row.year, row.name, row.value, row.share.toFixed(4)])],
  };
};

/* Tips against the rest of the bill: by card (code 1), or without a code for fhvhv (-1). */
function tipOf(month) {
  const code = { yellow: 1, green: 1, fhvhv: -1 }[month.service];
  const column = DATA.payment_types.findIndex(([type]) => type === code);
  if (column < 0) return { tips: 0, rest: 0, tipped: 0 };
  const [tipped, dollars, tips] = [0, 1, 2].map((measure) => DATA.payments.at(measure, month.n, column));
  return { tips, rest: dollars - tips, tipped };
}

PANELS.tips = (s) => {
  const rows = s.chosen.map((month) => ({ ...month, ...tipOf(month), from: monthStart(month) }))
    .filter(({ rest }) => rest > 0).map((row) => ({ ...row, share: row.tips / row.rest }));
  const share = sum(rows.map((row) => row.tips)) / sum(rows.map((row) => row.rest));
  const others = sum(rows.map((row) => row.rows - row.tipped));
  return {
    rows, signals: dots(rows), money: `${windowOf(rows)}; leaves out ${plural(others, "row")}: not paid by card, or rejected.`,
    answer: rows.length ? `Riders add ${percent(share)} to the bill.` : "No tips are recorded for this choice.",
    tip: (row) => [row.label, ["Service", row.service], ["Tips", usd(row.tips, int)], ["Rest of the bill", usd(row.rest, int)], ["Share", percent(row.share)]],
    legend: serviceLegend(s, ["yellow", "green", "fhvhv"]),
    table: [["month", "service", "tips, dollars", "rest of the bill, dollars", "share"],
      rows.map((row) => [row.key, row.service, row.tips, row.rest, row.share.toFixed(4)])],
  };
};

const LOAD_FHVHV = "To load a month: python flows/etl_web_to_bq.py --color fhvhv --year 2024 --months 1, then python -m lakehouse.full_pipeline.flow.";

PANELS.companies = (s) => {
  const found = new Map(), chosen = new Set(s.parts);
  for (const [month, company, ...values] of DATA.companies) {
    if (chosen.has(month)) found.set(company, (found.get(company) || [0, 0, 0, 0, 0]).map((value, n) => value + values[n]));
  }
  const rows = [...found].map(([company, [trips, fares, pay, waits, seconds]]) => (
    { company, trips, fare: fares / trips, pay: pay / trips, wait: waits ? seconds / waits / 60 : null, fares, driver_pay: pay }));
  const share = sum(rows.map((row) => row.driver_pay)) / sum(rows.map((row) => row.fares));
  return {
    rows, money: moneyNote(s.chosen.filter(({ service }) => service === "fhvhv"), s),
    answer: !rows.length ? "No month of fhvhv is loaded for this choice." : !(share > 0) ? "Fares or pay are not known." :
      `Drivers get ${Math.round(100 * share)} cents of each dollar of base fare.`,
    note: DATA.services.includes("fhvhv") ? "" : LOAD_FHVHV,
    tip: (row) => [row.company, ["Trips", int(row.trips)], ["Base fare", usd(row.fare, cents)], ["Driver pay", usd(row.pay, cents)],
      ...(row.wait === null ? [] : [["Wait", row.wait.toFixed(1) + " min"]])],
    legend: rows.length ? [{ color: "var(--accent)", text: "base fare" }, { color: "var(--part-0)", text: "driver pay" }] : [],
    table: [["company", "trips", "base fare per trip, dollars", "driver pay per trip, dollars", "wait, minutes"],
      rows.map((row) => [row.company, row.trips, cents(row.fare), cents(row.pay), row.wait === null ? "" : row.wait.toFixed(1)])],
  };
};

/* Days with all hours of weather or air: date, rain (mm), PM2.5 (µg/m³), AQI. */
const AIR = DATA.air.map(([rain, pm, aqi], n) => {
  const [year, month, day] = DATA.air_start.split("-").map(Number);
  const date = new Date(year, month - 1, day + n);
  return { date, year: date.getFullYear(), month: date.getMonth() + 1, day: date.getDate(), aqi,
    rain: rain === null ? null : rain / 10, pm: pm === null ? null : pm / 10 };
});
const AIR_DAYS = new Map(AIR.map((day) => [`${day.year}-${day.month}-${day.day}`, day]));
const WET = [["Dry", 0], ["Wet", 1], ["Very wet", 10]];

PANELS.rain = (s) => {
  const kinds = WET.map(([label], order) => ({ label, order, days: new Set(), value: 0, usual: 0 }));
  let unknown = 0;
  for (const month of s.chosen) {
    const days = Array.from({ length: new Date(month.year, month.month, 0).getDate() }, (_, n) => (
      { weekday: new Date(month.year, month.month - 1, n + 1).getDay(), value: DATA.days.at(s.measure, month.n, n + 1), day: n + 1 }));
    const usual = WEEKDAYS.map((_, weekday) => days.filter((day) => day.weekday === weekday)).map((same) => sum(same.map((day) => day.value)) / same.length);
    for (const day of days) {
      const air = AIR_DAYS.get(`${month.year}-${month.month}-${day.day}`);
      if (!air || air.rain === null) { unknown += 1; continue; }
      const kind = kinds[WET.findLastIndex(([, from]) => air.rain >= from)];
      kind.days.add(+air.date);
      kind.value += day.value;
      kind.usual += usual[day.weekday];
    }
  }
  const rows = kinds.filter((kind) => kind.usual > 0).map((kind) => {
    const share = kind.value / kind.usual - 1;
    return { ...kind, days: kind.days.size, axis: `${kind.label} · ${kind.days.size}`, share, text: (share < 0 ? "−" : "+") + percent(Math.abs(share)) };
  });
  const last = rows[rows.length - 1], reach = 1.6 * Math.max(0.01, ...rows.map((row) => Math.abs(row.share)));
  return {
    rows, signals: { reach }, hasMeasure: true,
    answer: rows.length < 2 ? "There is no wet and dry day to compare." :
      Math.abs(last.share) < 0.005 ? "Hardly: wet days are as usual." :
      `${last.label} days have ${percent(Math.abs(last.share))} ${last.share > 0 ? "more" : s.isMoney ? "less" : "fewer"} ${s.isMoney ? "revenue" : "trips"} than usual.`,
    note: unknown ? `${plural(unknown, "day")} of a service without weather ${unknown === 1 ? "is" : "are"} omitted.` : "",
    tip: (row) => [`${row.label} days`, ["Days", int(row.days)], ["Against the usual", row.text]],
    table: [["kind of day", "days", s.word, "usual", "difference"],
      rows.map((row) => [row.label, row.days, Math.round(row.value), Math.round(row.usual), row.share.toFixed(4)])],
  };
};

const EPA = [[50, "good"], [100, "moderate"], [150, "unhealthy for sensitive groups"], [200, "unhealthy"], [300, "very unhealthy"], [Infinity, "hazardous"]];
const epa = (aqi) => EPA.find(([limit]) => aqi <= limit)[1];

PANELS.air = (s) => {
  const keys = new Set(LOADED.map((month) => `${month.year}-${month.month}`));
  const days = AIR.filter((day) => keys.has(`${day.year}-${day.month}`) && (!s.year || day.year === s.year) && (!s.month || day.month === s.month));
  const known = days.filter((day) => day.aqi !== null);
  const worst = known.slice().sort((a, b) => b.aqi - a.aqi || b.pm - a.pm).slice(0, 3);
  const pm = (day) => (day.pm === null ? "not known" : `${day.pm.toFixed(1)} µg/m³`);
  return {
    rows: known.flatMap((day, n) => {
      const row = { ...day, stands_out: worst.includes(day), label: dayLabel(day.date) };
      const isGap = n && day.date - known[n - 1].date > 1.5 * DAY;
      return isGap ? [{ ...row, aqi: null, stands_out: false }, row] : [row]; // a null interrupts the line
    }),
    answer: worst.length ? `${dayLabel(worst[0].date)}: AQI ${worst[0].aqi}, ${epa(worst[0].aqi)}.` : "No air quality is loaded for this choice.",
    note: days.length > known.length ? `${plural(days.length - known.length, "day")} without air quality.` : "",
    facts: worst.length ? [["Day", "AQI", "PM2.5 (mean)", "Rain or snow"], worst.map((day) => (
      [dayLabel(day.date), day.aqi, pm(day), day.rain === null ? "not known" : `${day.rain.toFixed(1)} mm`]))] : null,
    tip: (row) => [row.label, ["AQI, highest hour", row.aqi], ["Category", epa(row.aqi)], ["PM2.5, mean", pm(row)], ["", "modelled, not measured"]],
    table: [["day", "AQI, modelled", "PM2.5 (µg/m³), modelled", "rain or snow (mm)"],
      days.map((day) => [dayKey(day.year, day.month, day.day), day.aqi ?? "", day.pm ?? "", day.rain ?? ""])],
  };
};
