/* What each panel shows for a selection: rows for its chart, its answer in one sentence, and its
   numbers as a table. */
const PANELS = {};
const NO_TRIPS = "No trips for this choice.";
const NO_AMOUNTS = "No amounts are known for this choice.";
const NO_TAXIS = "No yellow or green trips for this choice.";
const isTaxi = ({ service }) => TAXIS.includes(service);
const monthStart = (month) => new Date(month.year, month.month - 1, 1);
const monthEnd = (month) => new Date(month.year, month.month, 1);
const dots = (rows) => ({ dots: rows.length > 36 ? 0 : 1 });
const dayKey = (year, month, day) => `${year}-${padded(month)}-${padded(day)}`;
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
      add(dayKey(month.year, month.month, day), from, to, dayLabel(from), month,
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
    answer: !top ? "No month is loaded for this choice." : !most ? s.isMoney ? NO_AMOUNTS : NO_TRIPS :
      bars.size === 1 ? `${top[0].label}: ${s.show(most)} ${s.isMoney ? "paid" : "trips"}.` :
      `The busiest ${unit} is ${top[0].label}: ${s.show(most)} ${s.isMoney ? "paid" : "trips"}.`,
    note: s.zone ? "With a zone, days are not known." :
      outside ? `${s.show(outside)} ${s.isMoney ? "paid for " : ""}trips picked up outside their file's month are in no day.` : "",
    tip: (row) => [row.label, ["Service", row.service], ["Trips", int(row.trips)], ["Paid", row.dollars ? usd(row.dollars, int) : "not reported"]],
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
  const breaks = limitsByRank(drawn.map(value));
  const rows = DATA.shapes.map(([zone, polygons]) => ({
    type: "Feature", geometry: { type: "MultiPolygon", coordinates: polygons }, zone, step: step(value(zone), breaks),
    label: `${zoneName(zone)}: ${s.show(value(zone))} ${s.word}`,
  }));
  const known = [...ZONE.keys()].filter((zone) => zone !== UNKNOWN_ZONE && zone !== OUTSIDE && value(zone) > 0);
  const top = known.sort((a, b) => value(b) - value(a)).slice(0, drawn.length ? 8 : 30);
  const off = all - sum(drawn.map(value));
  const percentOf = (zone) => (all > 0 ? percent(value(zone) / all) : "no share"); // reversed charges can be more than the others
  return {
    rows, hasMeasure: true,
    answer: !top.length ? s.isMoney ? NO_AMOUNTS : "No pickup zone is known for this choice." : s.zone ?
      `${zoneName(s.zone)} has ${percentOf(s.zone)} of all ${s.word}.` :
      `Most ${s.word === "trips" ? "trips begin" : "is paid"} in ${zoneName(top[0])}: ${percentOf(top[0])} of all.`,
    note: !drawn.length ? "No map: the zone shapes are not loaded (python -m reference.zones.flow)." :
      off > 0 ? `Not on the map: ${s.show(off)} ${s.word} in zones that are unknown, outside of the city or without a shape (${percent(off / all)}).` : "",
    tip: (row) => [zoneName(row.zone), ["Borough", ZONE.get(row.zone).borough],
      ["Trips", int(trips[row.zone])], ["Paid", usd(dollars[row.zone], int)],
      ...(dollars[row.zone] ? [["Per trip", usd(dollars[row.zone] / trips[row.zone], cents)]] : [])],
    ramp: breaks.map(s.brief),
    bars: top.map((zone) => ({ text: zoneName(zone), value: value(zone), said: s.show(value(zone)) })),
    table: [["zone", "name", "borough", "trips", "dollars"],
      [...ZONE.values()].filter(({ zone }) => trips[zone]).map(({ zone, name, borough }) => [zone, name, borough, trips[zone], dollars[zone]])],
  };
};

/* By hour of the week; of a zone, the page has the trips of each service alone. */
PANELS.week = (s) => {
  const isMoney = s.isMoney && !s.zone, show = isMoney ? s.brief : short;
  const services = DATA.services.flatMap((service, n) => (s.services.has(service) ? n * ZONES + s.zone : []));
  const trips = s.zone ? DATA.zone_week.total(0, services) : DATA.week.total(0, s.parts);
  const dollars = s.zone ? null : DATA.week.total(1, s.parts);
  const values = isMoney ? dollars : trips, breaks = limitsByWidth(values);
  const rows = Array.from(values, (value, k) => ({
    day: WEEKDAYS[Math.floor(k / 24)], hour: k % 24, trips: trips[k], dollars: dollars && dollars[k], value, step: step(value, breaks),
  }));
  const top = best(rows, (row) => row.value), low = best(rows, (row) => -row.value);
  const at = (row) => `${row.day} ${padded(row.hour)}:00`;
  return {
    rows, hasMeasure: isMoney,
    answer: top.value > 0 ? `Busiest: ${at(top)}. Quietest: ${at(low)}.` : isMoney ? NO_AMOUNTS : NO_TRIPS,
    note: s.zone ? `Trips from ${zoneName(s.zone)} in all months that are loaded.` : "",
    tip: (row) => [`${row.day}, ${row.hour}:00 to ${row.hour + 1}:00`, ["Trips", int(row.trips)], ...(dollars ? [["Paid", usd(row.dollars, int)]] : [])],
    ramp: breaks.map(show),
    table: [["weekday", "hour", "trips", ...(dollars ? ["dollars"] : [])],
      rows.map((row) => [row.day, row.hour, row.trips, ...(dollars ? [row.dollars] : [])])],
  };
};

PANELS.routes = (s) => {
  const parts = DATA.route_parts.map(([service, year], n) => ({ service, year, n }))
    .filter(({ service, year }) => s.services.has(service) && (!s.year || s.year === year)).map(({ n }) => n);
  const trips = DATA.route.total(0, parts), dollars = DATA.route.total(1, parts);
  const all = DATA.routes.map(([from, to], n) => ({ from, to, trips: trips[n], dollars: dollars[n], value: s.value(trips[n], dollars[n]) }))
    .filter((route) => route.value > 0 && (!s.zone || route.from === s.zone)).sort((a, b) => b.value - a.value);
  const name = (route) => (s.zone ? zoneName(route.to) : `${zoneName(route.from)} → ${zoneName(route.to)}`);
  const top = all.slice(0, 8), months = s.ofServices.filter((month) => !s.year || s.year === month.year);
  return {
    hasMeasure: true, money: s.isMoney ? moneyNote(months, s) : "",
    answer: !top.length ? s.isMoney ? NO_AMOUNTS : "No route is known for this choice." : s.zone ?
      `From ${zoneName(s.zone)}, most ${s.isMoney ? "is paid" : "trips go"} to ${zoneName(top[0].to)}.` :
      `The busiest route is ${name(top[0])}.`,
    note: s.zone ? "The page has ten routes of a zone, those that are busiest over all years and services." : "Choose a zone to see where its trips go.",
    bars: top.map((route) => ({ text: name(route), value: route.value, said: s.show(route.value) })),
    table: [["from", "to", "trips", "dollars"], all.map((route) => [zoneName(route.from), zoneName(route.to), route.trips, route.dollars])],
  };
};
