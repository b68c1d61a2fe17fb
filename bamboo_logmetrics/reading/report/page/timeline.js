// One session: the waterfall of its rounds, requests and tool calls, with its sub-agents in it.

const KINDS = { r: "round", q: "request", t: "tool call", s: "sub-agent", e: "event" };
const PIECE = 300; // rows that are drawn at a time
const IDLE = 0.02; // the share of the width that a shortened idle time gets

let opener = null;

/** Return the spans of a session and of its sub-agents: nested, in the order of their starts. */
function spansOf(row, base, depth, seen) {
  const id = DATA.sessions.id[row];
  const start = DATA.timeline_start_s[id];
  const shift = unknown(start) ? 0 : (start - base) * 1000;
  const spans = (DATA.timelines[id] || []).map((span) => spanOf(span, shift, depth));
  const rounds = new Map(spans.filter((span) => span.kind === "r").map((span) => [span.label, span]));
  const top = [];
  for (const span of spans) {
    const parent = span.kind === "r" ? null : rounds.get(span.round);
    if (parent) parent.inner.push(span);
    else top.push(span);
  }
  for (const child of seen.has(row) ? [] : CHILDREN.get(row) || []) top.push(childSpan(child, base, depth, new Set(seen).add(row)));
  return sortSpans(top);
}

function sortSpans(spans) {
  spans.sort((a, b) => a.start - b.start || isBegin(b) - isBegin(a));
  for (const span of spans) if (span.kind !== "s") sortSpans(span.inner);
  return spans;
}

function isBegin(span) {
  return span.kind === "e" && span.label === "session started";
}

function spanOf([kind, start, length, label, status, round, tokens, cost, model], shift, depth) {
  return { kind, start: start + shift, length, label: label || KINDS[kind], status: status || "", round, tokens, cost, model, depth, inner: [] };
}

function childSpan(row, base, depth, seen) {
  const sessions = DATA.sessions;
  const start = (sessions.first[row] - base) * 1000;
  const inner = spansOf(row, base, depth + 1, seen);
  const length = inner.length ? endOf(inner) - start : 1000 * lengthOf(row);
  return { kind: "s", row, start, length, label: sessions.id[row], status: sessions.status[row] || "", tokens: sessions.total_tokens[row], cost: sessions.cost_usd[row], model: sessions.model[row], depth, inner };
}

/** Return the end of the last of some spans. */
function endOf(spans) {
  return spans.reduce((latest, span) => Math.max(latest, span.start + (span.length || 0)), -Infinity);
}

function flatten(spans, indent, list) {
  for (const span of spans) {
    list.push({ ...span, indent });
    flatten(span.inner, indent + 1, list);
  }
  return list;
}

function isBad(status) {
  return /^(error|timeout|fail|cancel|abort)/i.test(status);
}

// -- the scale -------------------------------------------------------------------

/** Return a function from milliseconds to a share of the width, and where idle time is shortened. */
function scaleOf(spans, shorten) {
  const first = spans.reduce((least, span) => Math.min(least, span.start), Infinity);
  const last = Math.max(first + 1, endOf(spans));
  const gaps = shorten ? idleTimes(spans, first, last) : [];
  const idle = gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0);
  const busy = Math.max(1, last - first - idle);
  const unit = (1 - gaps.length * IDLE) / busy;
  const scale = (ms) => {
    let share = (ms - first) * unit;
    for (const gap of gaps) {
      if (ms >= gap.to) share += IDLE - (gap.to - gap.from) * unit;
      else if (ms > gap.from) share += (IDLE / (gap.to - gap.from) - unit) * (ms - gap.from);
    }
    return Math.min(1, Math.max(0, share));
  };
  return { scale, gaps, first, last };
}

/** Return the times in which nothing ran, the longest ones, if each is at least a 25th of the whole. */
function idleTimes(spans, first, last) {
  const agents = spans.filter((span) => span.kind === "s");
  const waits = (span) => agents.some((agent) => agent.start >= span.start - 1000 && agent.start + agent.length <= span.start + span.length + 1000);
  const works = (span) => span.length !== null && span.kind !== "s" && !(span.kind === "t" && waits(span)); // not what waits for a sub-agent
  const busy = spans.filter(works).map((span) => [span.start, span.start + span.length]);
  busy.sort((a, b) => a[0] - b[0]);
  const gaps = [];
  let until = first;
  for (const [from, to] of [...busy, [last, last]]) {
    if (from - until > (last - first) / 25) gaps.push({ from: until, to: from });
    until = Math.max(until, to);
  }
  gaps.sort((a, b) => b.to - b.from - (a.to - a.from));
  return gaps.slice(0, 12).sort((a, b) => a.from - b.from);
}

// -- the dialog --------------------------------------------------------------------

function openSession(id) {
  if (!DATA.sessions.id.includes(id)) return;
  opener = document.activeElement;
  STATE.session = id;
  history.replaceState(null, "", address());
  drawSession();
  const dialog = byId("session");
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function drawSession() {
  const row = DATA.sessions.id.indexOf(STATE.session);
  const sessions = DATA.sessions;
  const parent = sessions.parent[row];
  byId("session-title").textContent = sessions.id[row];
  const where = [nameOf(DATA.agents, sessions.agent[row]), projectName(sessions.project[row]), modelName(sessions.model[row])].filter((name) => name !== NO_NAME);
  clear(byId("session-sub"), where.join(" \u00b7 ") + (where.length ? " \u00b7 " : "") + stamp(sessions.first[row], true) + " (" + DATA.zone + ")");
  if (!unknown(parent)) byId("session-sub").append(" \u00b7 sub-agent of ", el("button", { type: "button", class: "link", onclick: () => openInside(sessions.id[parent]) }, sessions.id[parent]));
  const facts = [
    ["Status", sessions.active[row] ? "active" : sessions.status[row] || NOT_REPORTED, isBadStatus(sessions.status[row])],
    ["Duration", duration(1000 * lengthOf(row))],
    ["Rounds", count(sessions.rounds[row])],
    ["Requests", count(sessions.requests[row])],
    ["Tool calls", count(sessions.tool_calls[row])],
    ["Errors", count(sessions.errors[row]), sessions.errors[row] > 0],
    ["Tokens", count(sessions.total_tokens[row])],
    ["Cost", money(sessions.cost_usd[row])],
  ];
  clear(byId("session-facts"), ...facts.map(([name, text, bad]) => el("div", null, el("dt", null, name), el("dd", { class: bad ? "bad" : null }, text))));
  clear(byId("kinds"), ...["r", "q", "t", "s"].map((kind) => el("span", { class: "key" }, el("span", { class: "swatch kind-" + kind, "aria-hidden": "true" }), KINDS[kind])), el("span", { class: "key" }, el("span", { class: "swatch failed", "aria-hidden": "true" }), "failed"));
  drawWaterfall(row);
}

function openInside(id) {
  STATE.session = id;
  history.replaceState(null, "", address());
  drawSession();
  byId("session").scrollTop = 0;
  byId("session-close").focus();
}

function drawWaterfall(row) {
  const host = byId("waterfall");
  const list = flatten(spansOf(row, DATA.sessions.first[row], 0, new Set()), 0, []);
  const own = DATA.timelines[DATA.sessions.id[row]];
  if (!list.length) {
    clear(host, el("p", { class: "empty" }, "The page holds no timeline of this session: it has those of the most expensive and the most recent ones."));
    return;
  }
  const axis = scaleOf(list, byId("skip-idle").checked);
  const body = el("div", { class: "rows", role: "list", "aria-label": "Rounds, requests and tool calls in the order of their starts" });
  clear(host, timelineNote(row, own), axisRow(axis), body);
  drawPiece(host, body, list, axis, 0);
}

/** Return a note on what the page leaves out of a session's timeline, to keep small. */
function timelineNote(row, own) {
  const all = DATA.sessions.spans ? DATA.sessions.spans[row] : null;
  if (!own) return el("p", { class: "empty" }, "The page holds no timeline of this session itself.");
  if (unknown(all) || all <= own.length) return "";
  return el("p", { class: "quiet" }, "The first " + count(own.length) + " of " + count(all) + " rounds, requests and tool calls of this session.");
}

function drawPiece(host, body, list, axis, from) {
  body.append(...list.slice(from, from + PIECE).map((span) => spanRow(span, axis)));
  const left = list.length - from - PIECE;
  if (left <= 0) return;
  const button = el("button", { type: "button", class: "plain more" }, "Show " + count(Math.min(left, PIECE)) + " more of " + count(left));
  button.addEventListener("click", () => {
    button.remove();
    drawPiece(host, body, list, axis, from + PIECE);
    body.children[from + PIECE].focus();
  });
  host.append(button);
}

function axisRow(axis) {
  const marks = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const ms = inverse(axis, share);
    return el("span", { style: "left:" + share * 100 + "%" }, share ? "+" + duration(Math.round(ms - axis.first)) : "0");
  });
  return el("div", { class: "span axis", "aria-hidden": "true" }, el("span", { class: "what" }), el("span", { class: "track" }, ...marks), el("span", { class: "num" }, "time"), el("span", { class: "num extra" }, "tokens"), el("span", { class: "num extra" }, "cost"));
}

/** Return the milliseconds at a share of the width. */
function inverse(axis, share) {
  let low = axis.first;
  let high = axis.last;
  for (let step = 0; step < 40; step++) {
    const middle = (low + high) / 2;
    if (axis.scale(middle) < share) low = middle;
    else high = middle;
  }
  return high;
}

function spanRow(span, axis) {
  const left = axis.scale(span.start);
  const right = axis.scale(span.start + (span.length || 0));
  const bad = isBad(span.status);
  const mark = span.kind === "e" || span.length === null;
  const classes = "mark kind-" + span.kind + (bad ? " failed" : "") + (mark ? " moment" : "");
  const gaps = axis.gaps.map((gap) => el("span", { class: "idle", style: place(axis.scale(gap.from), axis.scale(gap.to)), title: "idle for " + duration(gap.to - gap.from) }));
  const name = span.kind === "s" ? el("button", { type: "button", class: "link", onclick: () => openInside(span.label) }, shortName(span.row)) : span.label;
  const words = [KINDS[span.kind], span.label, span.status, unknown(span.model) ? "" : modelName(span.model), span.length === null ? "" : duration(span.length), unknown(span.tokens) ? "" : plural(span.tokens, "token"), unknown(span.cost) ? "" : money(span.cost)];
  return el(
    "div",
    { class: "span row-" + span.kind + (bad ? " bad-row" : ""), role: "listitem", tabindex: "-1", title: words.filter(Boolean).join(", ") },
    el("span", { class: "what", style: "padding-left:" + Math.min(span.indent, 6) * 14 + "px" }, el("span", { class: "dot kind-" + span.kind + (bad ? " failed" : ""), "aria-hidden": "true" }), el("span", { class: "text" }, name), bad ? el("span", { class: "bad status" }, span.status) : null),
    el("span", { class: "track" }, ...gaps, el("span", { class: classes, style: mark ? "left:" + left * 100 + "%" : place(left, right) })),
    el("span", { class: "num" }, span.length === null ? "" : duration(span.length)),
    el("span", { class: "num extra" }, unknown(span.tokens) ? "" : brief(span.tokens)),
    el("span", { class: "num extra" }, unknown(span.cost) ? "" : money(span.cost))
  );
}

/** Return the name of a sub-agent: what its id has beyond its parent's, with the agent before it. */
function shortName(row) {
  const sessions = DATA.sessions;
  const parent = sessions.id[sessions.parent[row]];
  const id = sessions.id[row].startsWith(parent) ? "\u2026" + sessions.id[row].slice(parent.length).replace(/^[.:/_-]+/, "") : sessions.id[row];
  const agent = nameOf(DATA.agents, sessions.agent[row]);
  return agent === NO_NAME ? id : agent + " " + id;
}

function place(left, right) {
  return "left:" + left * 100 + "%;width:max(2px," + (right - left) * 100 + "%)";
}

function listenToSession() {
  const dialog = byId("session");
  byId("session-close").addEventListener("click", () => dialog.close());
  byId("skip-idle").addEventListener("change", () => drawSession());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => {
    const id = STATE.session;
    STATE.session = null;
    history.replaceState(null, "", address());
    const row = opener && opener.isConnected && opener !== document.body ? opener : rowOf(id);
    if (row) row.focus();
  });
}

function rowOf(id) {
  const index = DATA.sessions.id.indexOf(id);
  return byId("sessions").querySelector('tr[data-row="' + index + '"]');
}
