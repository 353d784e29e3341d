/* What each panel shows for a selection: rows for its chart, its answer in one sentence, and its
   numbers as a table. */
const PANELS = {};
const monthStart = (month) => new Date(month.year, month.month - 1, 1);
const monthEnd = (month) => new Date(month.year, month.month, 1);
const dots = (rows) => ({ dots: rows.length > 36 ? 0 : 1 });
const dayLabel = (date) => `${WEEKDAYS[(date.getDay() + 6) % 7]} ${date.getDate()} ${MONTHS[date.getMonth()]} ${date.getFullYear()}`;

/* Bars stacked by service: each from `low` to `high`. */
PANELS.trend = (s) => {
  const bars = new Map();
  let outside = 0;
  for (const month of s.chosen) {
    if (!s.byDay) {
      add(month.key, monthStart(month), monthEnd(month), month.label, month, s.of(month, 0), s.of(month, 1));
      continue;
    }
    outside += DATA.days.at(s.measure, month.n, 0);
    for (let day = 1; day <= new Date(month.year, month.month, 0).getDate(); day++) {
      const from = new Date(month.year, month.month - 1, day), to = new Date(month.year, month.month - 1, day + 1);
      add(`${month.key}-${String(day).padStart(2, "0")}`, from, to, dayLabel(from), month,
        DATA.days.at(0, month.n, day), DATA.days.at(1, month.n, day));
    }
  }
  function add(key, from, to, label, { service }, trips, dollars) {
    if (!bars.has(key)) bars.set(key, []);
    bars.get(key).push({ key, from, to, label, service, trips, dollars });
  }
  const rows = [];
  for (const stack of bars.values()) {
    let low = 0;
    for (const bar of stack) rows.push({ ...bar, low, high: (low += s.value(bar.trips, bar.dollars)) });
  }
  const top = best([...bars.values()], (stack) => sum(stack.map((bar) => s.value(bar.trips, bar.dollars))));
  const most = top ? sum(top.map((bar) => s.value(bar.trips, bar.dollars))) : 0;
  const unit = s.byDay ? "day" : "month";
  return {
    rows, hasMeasure: true, signals: { edge: rows.length > 250 ? 0 : 0.5 },
    answer: !top ? "No month is loaded for this choice." :
      bars.size === 1 ? `${top[0].label}: ${s.show(most)} ${s.isMoney ? "paid" : "trips"}.` :
      `The busiest ${unit} is ${top[0].label}: ${s.show(most)} ${s.isMoney ? "paid" : "trips"}.`,
    note: outside ? `${s.show(outside)} ${s.isMoney ? "paid for" : ""} trips picked up outside their file's month are in no day.` : "",
    tip: (row) => [row.label, ["Service", row.service], ["Trips", int(row.trips)], ["Paid", row.dollars ? "$" + int(row.dollars) : "not reported"]],
    legend: s.chosen.length ? serviceLegend(s) : [],
    table: [[s.byDay ? "day" : "month", "service", "trips", "dollars"], rows.map((row) => [row.key, row.service, row.trips, row.dollars])],
  };
};

const serviceLegend = (s, among = DATA.services) =>
  among.filter((service) => s.chosen.some((month) => month.service === service))
    .map((service) => ({ color: `var(--${service})`, text: service }));

PANELS.zones = (s) => {
  const trips = DATA.zone.total(0, s.parts), dollars = DATA.zone.total(1, s.parts);
  const value = (zone) => s.value(trips[zone], dollars[zone]);
  const all = sum([...trips.keys()].map(value)), drawn = DATA.shapes.map(([zone]) => zone);
  const breaks = limits(drawn.map(value));
  const rows = DATA.shapes.map(([zone, polygons]) => ({
    type: "Feature", geometry: { type: "MultiPolygon", coordinates: polygons }, zone, step: step(value(zone), breaks),
    label: `${zoneName(zone)}: ${int(trips[zone])} trips`,
  }));
  const known = [...ZONE.keys()].filter((zone) => zone !== UNKNOWN_ZONE && value(zone) > 0);
  const top = known.sort((a, b) => value(b) - value(a)).slice(0, drawn.length ? 8 : 30);
  const off = all - sum(drawn.map(value));
  const percentOf = (zone) => (all ? percent(value(zone) / all) : "0%");
  return {
    rows, hasMeasure: true,
    answer: !top.length ? "No pickup zone is known for this choice." : s.zone ?
      `${zoneName(s.zone)} has ${percentOf(s.zone)} of all ${s.word}.` :
      `Most ${s.word === "trips" ? "trips begin" : "is paid"} in ${zoneName(top[0])}: ${percentOf(top[0])} of all.`,
    note: !drawn.length ? "No map: the zone shapes are not loaded (python -m reference.zones.flow)." :
      off > 0 ? `Not on the map: ${s.show(off)} ${s.word} in zones that are unknown, outside of the city or without a shape (${percent(off / all)}).` : "",
    tip: (row) => [zoneName(row.zone), ["Borough", ZONE.get(row.zone).borough], ["Trips", int(trips[row.zone])], ["Paid", "$" + int(dollars[row.zone])],
      ...(dollars[row.zone] ? [["Per trip", usd(dollars[row.zone] / trips[row.zone])]] : [])],
    ramp: breaks.map((limit) => s.show(limit)),
    bars: top.map((zone) => ({ text: zoneName(zone), value: value(zone), said: s.show(value(zone)) })),
    table: [["zone", "name", "borough", "trips", "dollars"],
      [...ZONE.values()].filter(({ zone }) => trips[zone]).map(({ zone, name, borough }) => [zone, name, borough, trips[zone], dollars[zone]])],
  };
};

PANELS.week = (s) => {
  const trips = DATA.week.total(0, s.parts), dollars = DATA.week.total(1, s.parts);
  const values = s.isMoney ? dollars : trips, most = Math.max(...values);
  const rows = Array.from(trips, (count, k) => ({
    day: WEEKDAYS[Math.floor(k / 24)], hour: k % 24, trips: count, dollars: dollars[k], value: values[k],
    step: values[k] > 0 ? Math.min(STEPS - 1, Math.floor((STEPS * values[k]) / most)) : -1,
  }));
  const top = best(rows, (row) => row.value), low = best(rows, (row) => -row.value);
  const at = (row) => `${row.day} ${String(row.hour).padStart(2, "0")}:00`;
  return {
    rows, hasMeasure: true,
    answer: most > 0 ? `Busiest: ${at(top)}. Quietest: ${at(low)}.` : "No trips for this choice.",
    tip: (row) => [`${row.day}, ${row.hour}:00 to ${row.hour + 1}:00`, ["Trips", int(row.trips)], ["Paid", "$" + int(row.dollars)]],
    ramp: most > 0 ? Array.from({ length: STEPS - 1 }, (_, k) => (s.isMoney ? "$" : "") + short(((k + 1) * most) / STEPS)) : [],
    table: [["weekday", "hour", "trips", "dollars"], rows.map((row) => [row.day, row.hour, row.trips, row.dollars])],
  };
};

PANELS.routes = (s) => {
  const parts = DATA.route_parts.map(([service, year], n) => ({ service, year, n }))
    .filter(({ service, year }) => s.services.has(service) && (!s.year || s.year === year)).map(({ n }) => n);
  const trips = DATA.route.total(0, parts), dollars = DATA.route.total(1, parts);
  const all = DATA.routes.map(([from, to], n) => ({ from, to, trips: trips[n], dollars: dollars[n], value: s.value(trips[n], dollars[n]) }))
    .filter((route) => route.value > 0 && (!s.zone || route.from === s.zone)).sort((a, b) => b.value - a.value);
  const name = (route) => (s.zone ? zoneName(route.to) : `${zoneName(route.from)} → ${zoneName(route.to)}`);
  const top = all.slice(0, 8), months = LOADED.filter((month) => s.services.has(month.service) && (!s.year || s.year === month.year));
  return {
    hasMeasure: true, money: s.isMoney ? moneyNote(months) : "",
    answer: !top.length ? "No route is known for this choice." : s.zone ?
      `From ${zoneName(s.zone)} most go to ${zoneName(top[0].to)}.` :
      `The busiest route is ${name(top[0])}.`,
    note: s.zone ? "" : "Choose a zone to see where its trips go.",
    bars: top.map((route) => ({ text: name(route), value: route.value, said: s.show(route.value) })),
    table: [["from", "to", "trips", "dollars"], all.map((route) => [zoneName(route.from), zoneName(route.to), route.trips, route.dollars])],
  };
};
