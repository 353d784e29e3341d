/* The panels about the data itself, and the tiles. */
PANELS.months = (s) => {
  const years = [...LOADED.map((month) => month.year), ...Object.keys(DATA.stale).map((key) => Number(key.slice(0, 4)))];
  const cells = new Map();
  for (let year = Math.min(...years); year <= Math.max(...years); year++) {
    MONTHS.forEach((name, n) => {
      const key = `${year}-${padded(n + 1)}`;
      cells.set(key, { key, year, name, month: n + 1, value: 0, services: [], stale: DATA.stale[key] || "" });
    });
  }
  for (const month of s.ofServices) {
    const cell = cells.get(month.key);
    cell.value += s.of(month, s.measure);
    cell.services.push(month.service);
  }
  const breaks = limitsByWidth([...cells.values()].map((cell) => cell.value));
  const rows = [...cells.values()].map((cell) => {
    const loaded = cell.services.length > 0;
    const chosen = (s.year || s.month) && (!s.year || s.year === cell.year) && (!s.month || s.month === cell.month);
    return {
      ...cell, step: loaded ? Math.max(0, step(cell.value, breaks)) : -1,
      border: cell.stale ? "var(--bad)" : chosen && loaded ? "var(--ink)" : loaded ? "transparent" : "var(--rule)",
      width: cell.stale || chosen ? 2.5 : 1,
      label: `${cell.name} ${cell.year}: ${loaded ? `${s.show(cell.value)} ${s.word}` : "not loaded"}${cell.stale ? ", stale" : ""}`,
    };
  });
  const stale = Object.keys(DATA.stale).length;
  const facts = DATA.services.filter((service) => s.services.has(service)).map((service) => {
    const own = LOADED.filter((month) => month.service === service);
    return [service, own.length, windowOf(own)];
  });
  return {
    rows, money: s.isMoney ? moneyNote(s.ofServices, s) : "",
    answer: `${plural(s.ofServices.length, "month")} of ${plural(facts.length, "service")}${stale ? `; ${plural(stale, "month")} stale` : ", all up to date"}.`,
    note: stale ? "Stale: loaded again or defined anew since, or never built; the flow silver builds it, gold publishes it." : "",
    legend: [{ color: "var(--ramp-4)", text: "loaded" }, { border: "var(--rule)", text: "not loaded" },
      ...(stale ? [{ border: "var(--bad)", text: "stale" }] : [])],
    facts: [["Service", "Months", "Window"], facts],
    tip: (row) => [`${row.name} ${row.year}`, ["Loaded", row.services.join(", ") || "nothing"],
      [s.isMoney ? "Paid" : "Trips", s.show(row.value)], ...(row.stale ? [["Stale", row.stale]] : [])],
    table: [["month", "services", s.word, "stale"], rows.map((row) => [row.key, row.services.join(" "), Math.round(row.value), row.stale])],
  };
};

PANELS.quality = (s) => {
  const counts = DATA.rejections.total(0, s.parts), rows = sum(s.chosen.map((month) => month.rows)) || 1;
  const all = DATA.rules.map(([rule, action], n) => ({ rule, action, rows: counts[n], text: rule.replaceAll("_", " ") }));
  const found = all.filter((row) => row.rows).sort((a, b) => (a.action === b.action ? b.rows - a.rows : a.action < b.action ? 1 : -1));
  const rejected = found.filter((row) => row.action === "reject");
  const codes = new Map();
  for (const [month, column, code, trips] of DATA.codes) {
    if (s.parts.includes(month)) codes.set(`${column} ${code}`, [column, code, (codes.get(`${column} ${code}`) || [0, 0, 0])[2] + trips]);
  }
  const undeclared = [...codes.values()].sort((a, b) => b[2] - a[2]);
  return {
    answer: !rejected.length ? "No row is rejected." :
      `${percent(sum(rejected.map((row) => row.rows)) / rows, 2)} of rows are rejected, most for “${rejected[0].text}”.`,
    note: undeclared.length ? "" : "Every code is declared by the TLC.",
    legend: [{ color: "var(--bad)", text: "rejected" }, { color: "var(--soft)", text: "flagged" }],
    scale: Math.sqrt,
    bars: found.map((row) => ({
      text: row.text, value: row.rows, said: `${int(row.rows)} · ${percent(row.rows / rows, 2)}`,
      color: row.action === "reject" ? "var(--bad)" : "var(--soft)",
    })),
    facts: undeclared.length ? [["Unknown code of", "Code", "Rows"], undeclared.slice(0, 5).map(([column, code, trips]) => [column, code, int(trips)])] : null,
    table: [["rule or column", "action or code", "rows"], [
      ...all.map((row) => [row.rule, row.action, row.rows]),
      ...undeclared.map(([column, code, trips]) => [column, `unknown code ${code}`, trips]),
    ]],
  };
};

PANELS.passengers = (s) => {
  const column = DATA.rules.findIndex(([rule]) => rule === "passengers_unknown");
  const rows = s.chosen.filter((month) => isTaxi(month) && column >= 0 && month.trips)
    .map((month) => ({ ...month, from: monthStart(month), missing: DATA.rejections.at(0, month.n, column) }))
    .map((row) => ({ ...row, share: row.missing / row.rows }));
  const share = sum(rows.map((row) => row.missing)) / sum(rows.map((row) => row.rows));
  return {
    rows, signals: dots(rows), share: rows.length ? share : null,
    answer: rows.length ? `${percent(share)} of taxi trips have no passenger count.` : NO_TAXIS,
    tip: (row) => [row.label, ["Service", row.service], ["Without a count", int(row.missing)], ["Share of rows", percent(row.share)]],
    legend: serviceLegend(s, TAXIS),
    table: [["month", "service", "rows", "without a count", "share"], rows.map((row) => [row.key, row.service, row.rows, row.missing, row.share.toFixed(4)])],
  };
};

/* Text of each tile, and the small line under it. */
function tiles(s) {
  const trips = sum(s.chosen.map((month) => s.of(month, 0))), dollars = sum(s.chosen.map((month) => s.of(month, 1)));
  const paid = sum(s.chosen.filter((month) => month.dollars !== null).map((month) => s.of(month, 0)));
  const rejected = sum(s.chosen.map((month) => month.rejected)), rows = sum(s.chosen.map((month) => month.rows));
  const card = s.chosen.filter(isTaxi).map(tipOf);
  const rest = sum(card.map((tip) => tip.rest)), missing = PANELS.passengers(s).share;
  const allZones = s.zone ? "all zones" : "";
  return {
    trips: [short(trips), s.zone ? zoneName(s.zone) : int(trips)],
    revenue: [paid ? usd(dollars, short) : "–", paid ? usd(dollars, int) : "no amounts"],
    fare: [paid ? usd(dollars / paid, cents) : "–", "everything included"],
    tip: [rest > 0 ? percent(sum(card.map((tip) => tip.tips)) / rest) : "–", allZones || "yellow and green"],
    passengers: [missing === null ? "–" : percent(missing), allZones || "yellow and green"],
    rejected: [short(rejected), `${rows ? percent(rejected / rows, 2) : "0%"} of rows${s.zone ? ", all zones" : ""}`],
    months: [int(s.chosen.length), s.window],
  };
}
