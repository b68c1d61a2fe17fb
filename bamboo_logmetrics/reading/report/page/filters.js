// What is shown: time, models, projects. It is kept in the address, so that a link shows the same.

const STATE = { from: null, to: null, models: null, projects: null, measure: "cost", latency: "attempt", tools: "count", session: null };

const DAY = 86400;
const PRESETS = [["all", "All", null], ["1h", "1 hour", 3600], ["1d", "24 hours", DAY], ["7d", "7 days", 7 * DAY], ["30d", "30 days", 30 * DAY]];

function isFiltered(state) {
  return state.from !== null || state.to !== null || state.models !== null || state.projects !== null;
}

// -- the address -------------------------------------------------------------

function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  const pick = (name, values, other) => (values.includes(words.get(name)) ? words.get(name) : other);
  STATE.from = timeFrom(words.get("from"));
  STATE.to = timeFrom(words.get("to"));
  STATE.models = chosen(words.getAll("model"), DATA.models);
  STATE.projects = chosen(words.getAll("project"), DATA.projects);
  STATE.measure = pick("measure", ["cost", "tokens", "rounds"], unknown(DATA.totals.cost_usd) ? "tokens" : "cost");
  STATE.latency = pick("latency", ["attempt", "round", "request", "tool"], "attempt");
  STATE.tools = pick("tools", ["count", "time", "errors"], "count");
  STATE.session = words.get("session");
}

function timeFrom(text) {
  const seconds = Date.parse(text || "") / 1000;
  return Number.isNaN(seconds) ? null : bucketOf(seconds);
}

function chosen(names, all) {
  const indexes = names.map((name) => all.indexOf(name)).filter((index) => index >= 0);
  return indexes.length ? new Set(indexes) : null;
}

function address() {
  const words = new URLSearchParams();
  const iso = (seconds) => new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
  if (STATE.from !== null) words.append("from", iso(STATE.from));
  if (STATE.to !== null) words.append("to", iso(STATE.to));
  for (const index of STATE.models || []) words.append("model", DATA.models[index]);
  for (const index of STATE.projects || []) words.append("project", DATA.projects[index]);
  if (STATE.measure !== "cost") words.append("measure", STATE.measure);
  if (STATE.latency !== "attempt") words.append("latency", STATE.latency);
  if (STATE.tools !== "count") words.append("tools", STATE.tools);
  if (STATE.session !== null) words.append("session", STATE.session);
  return "#" + words.toString();
}

/** Change what is shown, and draw it. */
function change(changes) {
  Object.assign(STATE, changes);
  history.replaceState(null, "", address());
  drawAll();
}

/** Select a time range; whole buckets, so that the sums are exact. */
function selectTime(from, to) {
  if (from !== null) from = bucketOf(from);
  if (to !== null) to = bucketFrom(to);
  if (from !== null && to !== null && to <= from) to = bucketFrom(from + 1);
  if (from !== null && from <= RANGE.from) from = null;
  if (to !== null && to >= RANGE.to) to = null;
  change({ from, to });
}

// -- the controls --------------------------------------------------------------

function drawFilters() {
  if (RANGE) drawTimes();
  drawChoice("choose-model", "Model", MODEL_ORDER, modelName, STATE.models, (models) => change({ models }));
  const projects = [...new Set(DATA.calls.project.concat(DATA.sessions.project))].filter((index) => !unknown(index));
  projects.sort((a, b) => projectName(a).localeCompare(projectName(b)));
  drawChoice("choose-project", "Project", projects, projectName, STATE.projects, (values) => change({ projects: values }));
  byId("reset").hidden = !isFiltered(STATE);
}

function drawTimes() {
  const length = RANGE.to - RANGE.from;
  const presets = PRESETS.filter(([, , seconds]) => !seconds || seconds < length);
  const current = presets.find(([, , seconds]) => (seconds ? STATE.from === bucketOf(LAST - seconds) : STATE.from === null) && STATE.to === null);
  byId("presets").hidden = presets.length < 2;
  segments("presets", presets, current && current[0], (value) => {
    const seconds = presets.find(([name]) => name === value)[2];
    selectTime(seconds ? LAST - seconds : null, null);
  });
  const digits = WIDTH < 60 ? 19 : 16;
  for (const [id, own, end] of [["from", STATE.from, RANGE.from], ["to", STATE.to, RANGE.to]]) {
    const input = byId(id);
    input.step = WIDTH < 60 ? 1 : 60;
    const text = zoned(own === null ? end : own).toISOString().slice(0, digits);
    if (input.value !== text) input.value = text;
  }
}

function listenToFilters() {
  for (const id of ["from", "to"]) {
    byId(id).addEventListener("change", (event) => {
      const local = Date.parse(event.target.value + (event.target.value.length === 16 ? ":00Z" : "Z")) / 1000;
      const seconds = Number.isNaN(local) ? null : fromZone(local);
      selectTime(id === "from" ? seconds : STATE.from, id === "to" ? seconds : STATE.to);
    });
  }
  byId("reset").addEventListener("click", () => {
    change({ from: null, to: null, models: null, projects: null });
    byId("overview").focus();
  });
  for (const details of document.querySelectorAll("details.choice")) {
    details.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !details.open) return;
      details.open = false;
      details.querySelector("summary").focus();
      event.stopPropagation();
    });
  }
  document.addEventListener("click", (event) => {
    for (const details of document.querySelectorAll("details.choice[open]")) {
      if (!event.composedPath().includes(details)) details.open = false;
    }
  });
}

/** Draw a list of names of which some are chosen; none chosen means all. */
function drawChoice(id, title, values, name, selected, choose) {
  const details = byId(id);
  details.hidden = values.length < 2;
  const only = selected && [...selected];
  const text = !only ? "all" : only.length === 1 ? name(only[0]) : only.length + " of " + values.length;
  clear(details.querySelector("summary"), title + ": ", el("b", null, text));
  const options = details.querySelector(".options");
  const boxes = values.map((value) => {
    const box = el("input", { type: "checkbox", checked: Boolean(selected && selected.has(value)), value: String(value) });
    box.addEventListener("change", () => choose(toggled(selected, value)));
    return el("label", null, box, el("span", null, name(value)));
  });
  const focused = options.contains(document.activeElement) ? document.activeElement.value : null;
  clear(options, ...boxes);
  for (const box of options.querySelectorAll("input")) if (box.value === focused) box.focus();
}

function toggled(selected, value) {
  const next = new Set(selected || []);
  if (!next.delete(value)) next.add(value);
  return next.size ? next : null;
}
