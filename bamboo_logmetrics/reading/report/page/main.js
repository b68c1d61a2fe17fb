// Draws everything, at the start and after each change.

function drawCharts() {
  const rows = rowsOf(DATA.calls, STATE);
  const tools = rowsOf(DATA.tool_calls, STATE);
  drawTimeChart(rows);
  drawLatency(rows, tools);
}

function drawAll() {
  const rows = rowsOf(DATA.calls, STATE);
  const tools = rowsOf(DATA.tool_calls, STATE);
  drawFilters();
  drawOverview(keyFigures(STATE));
  drawStrip();
  drawTimeChart(rows);
  drawLatency(rows, tools);
  drawModels(rows);
  drawTools(tools);
  drawErrors();
  TABLE.page = 0;
  drawSessions();
  drawDrops();
}

function start() {
  byId("app").hidden = false;
  readAddress();
  drawHeading();
  drawNotes();
  drawCovers();
  listenToFilters();
  listenToSearch();
  listenToSession();
  listenToTheme(drawCharts);
  drawAll();
  if (STATE.session !== null) openSession(STATE.session);
  window.addEventListener("hashchange", () => {
    readAddress();
    drawAll();
    if (STATE.session !== null) openSession(STATE.session);
    else if (byId("session").open) byId("session").close();
  });
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    drawStrip();
    drawCharts();
  });
}

start();
