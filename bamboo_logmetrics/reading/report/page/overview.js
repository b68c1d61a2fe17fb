// The head of the page: the key figures, and the notes on which of them are not whole.

function drawOverview(figures) {
  const state = STATE;
  const tiles = [
    tile("Cost", "cost_usd", money, figures, pricedNote(figures)),
    tile("Tokens", "total_tokens", brief, figures, tokenNote(figures)),
    tile("Sessions", "sessions", count, figures, figures.active_sessions ? count(figures.active_sessions) + " active" : "none active", !figures.exact),
    tile("Rounds", "rounds", count, figures, plural(figures.requests, "request")),
    tile("Tool calls", "tool_calls", count, figures, toolNote(figures)),
    tile("Error rate", "error_rate", percent, figures, count(figures.errors) + " of " + plural(figures.calls, "call")),
    tile("Latency, median", "latency_p50_ms", duration, figures, "half of all calls are faster", !figures.exact),
    tile("Latency, p95", "latency_p95_ms", duration, figures, "p99 " + rough(duration(figures.latency_p99_ms), !figures.exact, figures.latency_p99_ms), !figures.exact),
    tile("Cache hit ratio", "cache_hit_ratio", percent, figures, unknown(figures.cache_read_tokens) ? "" : brief(figures.cache_read_tokens) + " tokens read"),
    tile("Dropped", "dropped", (value) => (unknown(value) ? "none" : count(value)), figures, figures.dropped ? "in no number here" : "no drop is recorded", false, figures.dropped ? "bad" : ""),
  ];
  clear(byId("overview"), ...tiles);
  const selection = isFiltered(state) ? "Filtered: " : "All: ";
  byId("status").textContent = selection + plural(figures.rounds, "round") + ", " + money(figures.cost_usd) + ", " + count(figures.total_tokens) + " tokens";
}

function rough(text, isRough, value) {
  return isRough && !unknown(value) ? "\u2248" + SPACE + text : text;
}

/** Return one figure with its name; the exact value is its title. */
function tile(label, name, format, figures, note, isRough, kind) {
  const value = figures[name];
  const text = rough(format(value), isRough, value);
  const missing = text === NOT_REPORTED;
  return el(
    "div",
    { class: "tile " + (kind || "") },
    el("span", { class: "label" }, label),
    el("span", { class: missing ? "value missing" : "value", "data-figure": name, "data-value": unknown(value) ? "" : String(value), title: unknown(value) ? null : exact(name, value) }, text),
    el("span", { class: "note" }, note || "")
  );
}

function exact(name, value) {
  if (name === "cost_usd") return "$" + value;
  if (name.endsWith("_ms")) return whole.format(value) + " ms";
  return name.endsWith("_rate") || name.endsWith("_ratio") ? String(value) : whole.format(value);
}

function pricedNote(figures) {
  return "priced " + count(figures.priced_calls) + " of " + plural(figures.usage_calls, "call");
}

function tokenNote(figures) {
  if (unknown(figures.total_tokens)) return "";
  return brief(figures.prompt_tokens) + " in, " + brief(figures.completion_tokens) + " out";
}

function toolNote(figures) {
  return figures.tool_calls ? count(figures.tool_errors) + " failed, " + percent(figures.tool_errors / figures.tool_calls) : "";
}

function drawNotes() {
  const notes = byId("notes");
  notes.hidden = !DATA.warnings.length;
  clear(notes, el("h2", null, "Not whole"), el("ul", null, ...DATA.warnings.map((text) => el("li", null, text))));
}

function drawHeading() {
  const projects = DATA.projects.filter(Boolean);
  byId("title").textContent = document.title;
  const range = RANGE ? stamp(FIRST) + " to " + stamp(LAST) + " (" + DATA.zone + ")" : "no events";
  const named = projects.length && projects.length < 5 ? ", " + plural(projects.length, "project") : "";
  byId("subtitle").textContent = range + ", " + plural(DATA.covers.lines, "line") + " in " + plural(DATA.covers.files.length + DATA.covers.more_files, "file") + named;
  byId("anonymous").hidden = !DATA.anonymous;
  byId("footer").textContent = "Made by bamboo-logmetrics " + DATA.version + " on " + DATA.generated_at.replace("T", " ").replace("Z", " UTC") + ". This page loads nothing: it can be kept, sent and opened offline.";
}
