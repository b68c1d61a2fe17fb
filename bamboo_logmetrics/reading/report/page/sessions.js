// The table of sessions: search, order, pages; arrow keys move, Enter opens.

const PAGE = 15;
const TABLE = { order: "cost_usd", down: true, page: 0, words: "", row: 0 };

const SESSION_COLUMNS = [
  { name: "id", label: "Session", text: true, cell: (row) => sessionName(row) },
  { name: "model", label: "Model", text: true, cell: (row) => el("span", { class: "name" }, unknown(DATA.sessions.model[row]) ? null : swatch(colourOf(DATA.sessions.model[row])), modelName(DATA.sessions.model[row])) },
  { name: "first", label: "Started", cell: (row) => stamp(DATA.sessions.first[row]) },
  { name: "length", label: "Duration", number: true, cell: (row) => duration(1000 * lengthOf(row)) },
  { name: "rounds", label: "Rounds", number: true, cell: (row) => count(DATA.sessions.rounds[row]) },
  { name: "tool_calls", label: "Tools", number: true, cell: (row) => count(DATA.sessions.tool_calls[row]) },
  { name: "errors", label: "Errors", number: true, cell: (row) => (DATA.sessions.errors[row] ? el("span", { class: "bad" }, count(DATA.sessions.errors[row])) : count(DATA.sessions.errors[row])) },
  { name: "total_tokens", label: "Tokens", number: true, cell: (row) => value(DATA.sessions.total_tokens[row], brief) },
  { name: "cost_usd", label: "Cost", number: true, cell: (row) => value(DATA.sessions.cost_usd[row], money) },
];

function lengthOf(row) {
  return DATA.sessions.last[row] - DATA.sessions.first[row];
}

/** The sub-agents of each session, as row numbers. */
const CHILDREN = group(everyRow({ bucket: DATA.sessions.id }), (row) => DATA.sessions.parent[row]);

function sessionName(row) {
  const sessions = DATA.sessions;
  const children = (CHILDREN.get(row) || []).length;
  const where = [nameOf(DATA.agents, sessions.agent[row]), projectName(sessions.project[row])].filter((name) => name !== NO_NAME);
  const notes = [
    unknown(sessions.parent[row]) ? null : el("span", { class: "badge" }, "sub-agent"),
    children ? el("span", { class: "badge" }, plural(children, "sub-agent")) : null,
    sessions.active[row] ? el("span", { class: "badge live" }, "active") : null,
    isBadStatus(sessions.status[row]) ? el("span", { class: "badge bad" }, sessions.status[row]) : null,
  ];
  return el("span", { class: "session-name" }, el("span", { class: "id" }, sessions.id[row]), el("span", { class: "where" }, where.join(" \u00b7 "), ...notes.filter(Boolean)));
}

function isBadStatus(status) {
  return Boolean(status) && !["completed", "success", "ok"].includes(status);
}

function sortValue(name, row) {
  if (name === "length") return lengthOf(row);
  if (name === "model") return modelName(DATA.sessions.model[row]);
  return DATA.sessions[name][row];
}

function compareSessions(a, b) {
  const left = sortValue(TABLE.order, a);
  const right = sortValue(TABLE.order, b);
  if (unknown(left) || unknown(right)) return unknown(left) - unknown(right) || a - b;
  const order = typeof left === "string" ? left.localeCompare(right) : left - right;
  return (TABLE.down ? -order : order) || DATA.sessions.first[b] - DATA.sessions.first[a] || a - b;
}

function matches(row, words) {
  const sessions = DATA.sessions;
  const texts = [sessions.id[row], nameOf(DATA.agents, sessions.agent[row]), projectName(sessions.project[row]), modelName(sessions.model[row]), sessions.status[row]];
  const all = texts.join("\n").toLowerCase();
  return words.every((word) => all.includes(word));
}

function drawSessions() {
  const words = TABLE.words.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = sessionsOf(STATE).filter((row) => matches(row, words)).sort(compareSessions);
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  TABLE.page = Math.min(TABLE.page, pages - 1);
  const shown = rows.slice(TABLE.page * PAGE, TABLE.page * PAGE + PAGE);
  TABLE.row = Math.min(TABLE.row, Math.max(0, shown.length - 1));
  const host = byId("sessions");
  const focus = host.contains(document.activeElement) ? document.activeElement.dataset.column : undefined;
  if (shown.length) clear(host, sessionTable(shown));
  else clear(host, el("p", { class: "empty" }, words.length ? "No session has these words." : "No sessions in this selection."));
  if (focus) host.querySelector('button[data-column="' + focus + '"]')?.focus();
  drawPager(rows.length, pages);
}

function sessionTable(rows) {
  const heads = SESSION_COLUMNS.map((column) => {
    const isOrder = TABLE.order === column.name;
    const sort = isOrder ? (TABLE.down ? "descending" : "ascending") : null;
    const arrow = el("span", { class: "arrow", "aria-hidden": "true" }, isOrder ? (TABLE.down ? "\u2193" : "\u2191") : "");
    const button = el("button", { type: "button", "data-column": column.name, onclick: () => orderBy(column) }, column.label, arrow);
    return el("th", { scope: "col", class: column.number ? "number" : null, "aria-sort": sort }, button);
  });
  const body = rows.map((row, place) => {
    const line = el("tr", { tabindex: place === TABLE.row ? "0" : "-1", "data-row": row, "aria-label": "Open session " + DATA.sessions.id[row] }, ...SESSION_COLUMNS.map((column, index) => cellOf(column, row, index)));
    line.addEventListener("click", () => openSession(DATA.sessions.id[row]));
    line.addEventListener("keydown", (event) => moveInTable(event, place, rows.length, row));
    return line;
  });
  return el("table", { class: "sessions" }, el("caption", { class: "hidden" }, "Sessions. Arrow keys move, Enter opens a session."), el("thead", null, el("tr", null, ...heads)), el("tbody", null, ...body));
}

function orderBy(column) {
  TABLE.down = TABLE.order === column.name ? !TABLE.down : !column.text;
  Object.assign(TABLE, { order: column.name, page: 0, row: 0 });
  drawSessions();
}

function moveInTable(event, place, length, row) {
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    openSession(DATA.sessions.id[row]);
    return;
  }
  const next = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: length - 1 }[event.key];
  if (event.key === "ArrowRight" || event.key === "PageDown") return turnPage(event, 1);
  if (event.key === "ArrowLeft" || event.key === "PageUp") return turnPage(event, -1);
  if (next === undefined || next < 0 || next >= length) return;
  event.preventDefault();
  TABLE.row = next;
  focusRow();
}

function focusRow() {
  const lines = [...byId("sessions").querySelectorAll("tbody tr")];
  lines.forEach((line, place) => line.setAttribute("tabindex", place === TABLE.row ? "0" : "-1"));
  if (lines[TABLE.row]) lines[TABLE.row].focus();
}

function turnPage(event, step) {
  event.preventDefault();
  if (TABLE.page + step < 0 || byId("pager").dataset.pages <= TABLE.page + step) return;
  TABLE.page += step;
  TABLE.row = 0;
  drawSessions();
  focusRow();
}

function drawPager(total, pages) {
  const pager = byId("pager");
  const first = total ? TABLE.page * PAGE + 1 : 0;
  const last = Math.min(total, (TABLE.page + 1) * PAGE);
  const more = DATA.more_sessions ? " The log has " + plural(DATA.more_sessions, "more session") + "; the page lists the most expensive and the most recent." : "";
  const to = (page, name) => el("button", { type: "button", class: "plain", disabled: page < 0 || page >= pages, "data-page": name, onclick: () => turn(page, name) }, name);
  pager.dataset.pages = pages;
  clear(pager, el("span", { class: "quiet" }, first + " to " + last + " of " + plural(total, "session") + "." + more), ...(pages > 1 ? [el("span", { class: "turn" }, to(TABLE.page - 1, "Previous"), to(TABLE.page + 1, "Next"))] : []));
}

function turn(page, name) {
  Object.assign(TABLE, { page, row: 0 });
  drawSessions();
  const button = byId("pager").querySelector('[data-page="' + name + '"]');
  if (button && !button.disabled) button.focus();
}

function listenToSearch() {
  byId("search").addEventListener("input", (event) => {
    Object.assign(TABLE, { words: event.target.value, page: 0, row: 0 });
    drawSessions();
  });
}
