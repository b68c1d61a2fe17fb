// The tables: models, tools, errors, drops and unclean ends, and what the page covers.

const LONG = 12; // rows that a table shows before "Show all"

function group(rows, key) {
  const groups = new Map();
  for (const row of rows) {
    const value = key(row);
    if (!groups.has(value)) groups.set(value, []);
    groups.get(value).push(row);
  }
  return groups;
}

/** Draw a table, of which a button shows the rest. */
function drawLong(id, columns, rows, caption, empty) {
  const host = byId(id);
  if (!rows.length) {
    clear(host, el("p", { class: "empty" }, empty));
    return;
  }
  const isOpen = host.dataset.open === "true";
  const shown = isOpen ? rows : rows.slice(0, LONG);
  const more = rows.length > LONG ? el("button", { type: "button", class: "plain more", onclick: () => openLong(host, isOpen, () => drawLong(id, columns, rows, caption, empty)) }, isOpen ? "Show fewer" : "Show all " + count(rows.length)) : null;
  clear(host, table(columns, shown, caption), ...(more ? [more] : []));
}

function openLong(host, isOpen, draw) {
  host.dataset.open = String(!isOpen);
  draw();
  host.querySelector(".more").focus();
}

/** Return a bar that shows parts of a whole; its text stands beside it. */
function bar(parts, whole) {
  const pieces = parts.map(([value, kind]) => el("span", { class: kind, style: "width:" + (whole ? (100 * value) / whole : 0) + "%" }));
  return el("span", { class: "bar", "aria-hidden": "true" }, ...pieces);
}

function drawModels(rows) {
  const groups = group(rows, (row) => DATA.calls.model[row]);
  const models = [...groups].map(([model, own]) => ({ model, sums: sumCalls(own), counts: attemptHistogram(own) }));
  models.sort((a, b) => MODEL_ORDER.indexOf(a.model) - MODEL_ORDER.indexOf(b.model));
  const columns = [
    { label: "Model", cell: (row) => el("span", { class: "name" }, swatch(colourOf(row.model)), modelName(row.model)) },
    { label: "Calls", number: true, cell: (row) => count(row.sums.calls) },
    { label: "Tokens", number: true, cell: (row) => value(row.sums.total_tokens, brief) },
    { label: "Cost", number: true, cell: (row) => value(row.sums.cost_usd, money) },
    { label: "Cached", number: true, cell: (row) => value(hitRatio(row.sums), percent) },
    { label: "Errors", number: true, cell: (row) => value(ratio(row.sums.errors, row.sums.calls), percent) },
    { label: "\u2248 p50", number: true, cell: (row) => value(quantile(row.counts, 0.5), duration) },
    { label: "\u2248 p95", number: true, cell: (row) => value(quantile(row.counts, 0.95), duration) },
  ];
  drawLong("models", columns, models, "Models: calls, tokens, cost, errors and latency", "No calls in this selection");
}

/** Return the text of a value in a table; a dash, which is read as "not reported", if it is not known. */
function value(number, format) {
  return unknown(number) ? el("span", { class: "missing", title: NOT_REPORTED, "aria-label": NOT_REPORTED, role: "img" }, "\u2013") : format(number);
}

function drawTools(rows) {
  segments("tool-order", [["count", "Calls"], ["time", "Time"], ["errors", "Failures"]], STATE.tools, (tools) => change({ tools }));
  const columns = DATA.tool_calls;
  const tools = [...group(rows, (row) => columns.tool[row])].map(([tool, own]) => ({
    tool,
    count: own.reduce((sum, row) => sum + columns.count[row], 0),
    errors: own.reduce((sum, row) => sum + columns.errors[row], 0),
    time: own.reduce((sum, row) => add(sum, columns.latency_ms[row]), null),
    counts: histogram(columns.latency, own),
  }));
  tools.sort((a, b) => (b[STATE.tools] || 0) - (a[STATE.tools] || 0) || b.count - a.count);
  const highest = Math.max(1, ...tools.map((tool) => tool[STATE.tools] || 0));
  const parts = (row) => (STATE.tools === "time" ? [[row.time || 0, "time"]] : STATE.tools === "errors" ? [[row.errors, "failed"]] : [[row.count - row.errors, "ok"], [row.errors, "failed"]]);
  const list = [
    { label: "Tool", cell: (row) => el("span", { class: "withbar" }, el("span", { class: "name" }, nameOf(DATA.tools, row.tool)), bar(parts(row), highest)) },
    { label: "Calls", number: true, cell: (row) => count(row.count) },
    { label: "Failed", number: true, cell: (row) => (row.errors ? el("span", { class: "bad" }, count(row.errors) + " (" + percent(row.errors / row.count) + ")") : "0") },
    { label: "Time", number: true, cell: (row) => value(row.time, duration) },
    { label: "\u2248 p50", number: true, cell: (row) => value(quantile(row.counts, 0.5), duration) },
    { label: "\u2248 p95", number: true, cell: (row) => value(quantile(row.counts, 0.95), duration) },
  ];
  drawLong("tools", list, tools, "Tools: calls, failures and time", "No tool calls in this selection");
}

function drawErrors() {
  const columns = DATA.errors;
  const groups = group(rowsOf(columns, STATE), (row) => JSON.stringify([columns.kind[row], columns.error_type[row]]));
  const errors = [...groups].map(([key, own]) => ({ kind: JSON.parse(key)[0], type: JSON.parse(key)[1], count: own.reduce((sum, row) => sum + columns.count[row], 0) }));
  errors.sort((a, b) => b.count - a.count || String(a.type).localeCompare(String(b.type)));
  const highest = Math.max(1, ...errors.map((error) => error.count));
  const total = errors.reduce((sum, error) => sum + error.count, 0);
  const list = [
    { label: "Error", cell: (row) => el("span", { class: "withbar" }, el("span", { class: "name" }, row.type || "no type reported"), bar([[row.count, "failed"]], highest)) },
    { label: "In", cell: (row) => row.kind },
    { label: "Count", number: true, cell: (row) => count(row.count) },
    { label: "Share", number: true, cell: (row) => percent(row.count / total) },
  ];
  drawLong("errors", list, errors, "Errors by type", "No errors in this selection");
}

function drawDrops() {
  const rows = [];
  DATA.drops.time.forEach((time, row) => {
    if (inTime(time, STATE)) rows.push({ time, coarse: WIDTH >= 60, kind: "dropped", text: plural(DATA.drops.count[row], "record") + ", " + DATA.drops.reason[row] });
  });
  for (const end of DATA.unclean) {
    if (unknown(end.time) || inTime(end.time, STATE)) rows.push({ time: end.time, kind: "unclean end", text: "writer " + end.writer + ": " + end.text });
  }
  DATA.gaps.time.forEach((time, row) => {
    if (unknown(time) || inTime(time, STATE)) rows.push({ time, kind: "missing", text: plural(DATA.gaps.missing[row], "line") + ": " + DATA.gaps.text[row] });
  });
  rows.sort((a, b) => (a.time || 0) - (b.time || 0));
  const more = DATA.more_unclean + DATA.more_gaps;
  if (more) rows.push({ time: null, kind: "more", text: plural(more, "more unclean end or gap", "more unclean ends and gaps") + "; bamboo-logmetrics verify lists all" });
  byId("drops-card").classList.toggle("bad", rows.length > 0);
  const list = [
    { label: "Time", cell: (row) => (unknown(row.time) ? value(null) : stamp(row.time, !row.coarse)) },
    { label: "Kind", cell: (row) => el("span", { class: "bad" }, row.kind) },
    { label: "What is missing", cell: (row) => row.text },
  ];
  drawLong("drops", list, rows, "Drops and unclean ends", isFiltered(STATE) ? "None in this selection." : "None: no record was dropped, no line is missing, and every writer has an end.");
}

function drawCovers() {
  const covers = DATA.covers;
  const verify = covers.verify;
  const list = (items, more, word) => {
    const texts = items.concat(more ? ["and " + plural(more, "more " + word)] : []);
    return el("ul", null, ...texts.map((text) => el("li", null, text)));
  };
  const facts = [
    ["Time", RANGE ? stamp(FIRST, true) + " to " + stamp(LAST, true) + " (" + DATA.zone + ")" : "no events"],
    ...chosenFacts(covers),
    ["Lines", count(covers.lines)],
    ["Files", covers.files.length > 4 ? el("details", null, el("summary", null, plural(covers.files.length + covers.more_files, "file")), list(covers.files, covers.more_files, "file")) : list(covers.files, covers.more_files, "file")],
    ["Verify", el("div", null, el("p", { class: verify.ok ? "good" : "bad" }, (verify.ok ? "\u2713 " : "\u2717 ") + verify.text), verify.problems.length ? list(verify.problems, verify.more_problems, "problem") : null)],
    ["Cost", "priced " + count(covers.priced) + " of " + plural(covers.calls, "call") + (covers.prices_version ? " by " + covers.prices_version : "")],
    ["Tokens", tokenFacts()],
    ["First token", DATA.totals.time_to_first_token_p50_ms === null ? NOT_REPORTED : "median " + duration(DATA.totals.time_to_first_token_p50_ms) + ", p95 " + duration(DATA.totals.time_to_first_token_p95_ms)],
  ];
  clear(byId("covers"), ...facts.flatMap(([name, content]) => [el("dt", null, name), el("dd", null, content)]));
}

/** Return what the command left out: the filters that it was run with. */
function chosenFacts(covers) {
  const names = ["since", "until", "model", "project"].filter((name) => !unknown(covers[name]));
  return names.length ? [["Only", names.map((name) => name + " " + covers[name]).join(", ")]] : [];
}

function tokenFacts() {
  const names = [["prompt_tokens", "prompt"], ["completion_tokens", "completion"], ["reasoning_tokens", "reasoning"], ["cache_read_tokens", "cache read"], ["cache_write_tokens", "cache write"], ["cache_write_1h_tokens", "cache write for 1 h"]];
  return el("ul", null, ...names.map(([name, text]) => el("li", null, text + ": ", el("b", null, count(DATA.totals[name])))));
}
