// The two drawn charts: use over time by model, and the distribution of latencies. ECharts draws them as SVG.

const MEASURES = {
  cost: { label: "Cost", column: "cost_usd", format: money, axis: (value) => (value >= 1000 ? shortMoney.format(value) : value ? money(value).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "") : "$0") },
  tokens: { label: "Tokens", column: "total_tokens", format: count, axis: (value) => short.format(value) },
  rounds: { label: "Rounds", column: "rounds", format: count, axis: (value) => short.format(value) },
};
const LATENCIES = { attempt: "All calls", round: "Rounds", request: "Requests", tool: "Tools" };
const TIME_BARS = 96;
const STEPS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, DAY, 7 * DAY, 28 * DAY, 91 * DAY, 364 * DAY];

function chartOf(id) {
  const host = byId(id);
  return echarts.getInstanceByDom(host) || echarts.init(host, null, { renderer: "svg" });
}

/** Return the colours of the page as they are, light or dark. */
function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  const models = [];
  for (let number = 0; number <= COLOURS; number++) models.push(of("--c" + number));
  return { models, text: of("--quiet"), strong: of("--text"), line: of("--line"), card: of("--card"), bad: of("--bad"), accent: of("--accent") };
}

// -- over time -----------------------------------------------------------------

/** Return the start of each bar, in seconds, over the range that is shown. */
function timeSlots(state) {
  const from = state.from === null ? RANGE.from : state.from;
  const to = state.to === null ? RANGE.to : state.to;
  const step = STEPS.find((width) => width >= WIDTH && (to - from) / width <= TIME_BARS) || STEPS[STEPS.length - 1];
  const slotOf = (seconds) => fromZone(Math.floor((seconds + offsetAt(seconds)) / step) * step);
  const slots = [];
  for (let at = slotOf(from); at < to; at = Math.max(at + 1, slotOf(at + step * 1.5))) slots.push(at);
  return { step, slots, slotOf };
}

function timeSeries(state, rows) {
  const { step, slots, slotOf } = timeSlots(state);
  const place = new Map(slots.map((seconds, index) => [seconds, index]));
  const column = DATA.calls[MEASURES[state.measure].column];
  const series = new Map();
  for (const row of rows) {
    const colour = colourOf(DATA.calls.model[row]);
    if (!series.has(colour)) series.set(colour, new Array(slots.length).fill(null));
    const at = place.get(slotOf(DATA.calls.bucket[row]));
    const values = series.get(colour);
    if (at !== undefined) values[at] = add(values[at], column[row]);
  }
  const order = [...series.keys()].sort((a, b) => a - b);
  const some = order.some((colour) => series.get(colour).some((value) => !unknown(value)));
  return { step, slots, slotOf, order, series, some };
}

function colourName(colour) {
  return colour < COLOURS ? modelName(MODEL_ORDER[colour]) : "other models";
}

function drawTimeChart(rows) {
  segments("measures", Object.entries(MEASURES).map(([name, { label }]) => [name, label]), STATE.measure, (measure) => change({ measure }));
  drawLegend();
  const measure = MEASURES[STATE.measure];
  const data = RANGE ? timeSeries(STATE, rows) : { some: false };
  byId("time-chart").hidden = !data.some;
  const empty = byId("time-empty");
  empty.hidden = data.some;
  empty.textContent = rows.length ? measure.label + ": " + NOT_REPORTED + " in this selection" : "No calls in this selection";
  if (!data.some) return;
  const chart = chartOf("time-chart");
  chart.setOption(timeOption(data, measure), { notMerge: true });
  chart.resize();
  byId("time-chart").setAttribute("aria-label", timeText(data, measure));
}

function timeText(data, measure) {
  const sums = data.order.map((colour) => colourName(colour) + " " + measure.format(data.series.get(colour).reduce(add, null)));
  return measure.label + " over time, stacked by model. " + sums.join(", ") + ".";
}

function timeOption(data, measure) {
  const look = colours();
  const drops = dropsBySlot(data);
  const series = data.order.map((colour) => ({
    type: "bar", stack: "all", name: colourName(colour), data: data.series.get(colour), barCategoryGap: data.slots.length > 40 ? "12%" : "24%", barMaxWidth: 56,
    itemStyle: { color: look.models[colour], borderColor: look.card, borderWidth: data.slots.length > 60 ? 0.5 : 1 },
    emphasis: { disabled: true },
  }));
  if (series.length && drops.size) series[0].markLine = dropLines(drops, look);
  return {
    animation: false,
    grid: { left: 8, right: 12, top: 14, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    tooltip: {
      trigger: "axis", appendTo: "body", className: "tip", axisPointer: { type: "shadow", shadowStyle: { color: look.line, opacity: 0.45 } },
      formatter: (items) => timeTip(items[0].dataIndex, data, measure, drops),
    },
    xAxis: { type: "category", data: data.slots.map((_, index) => index), ...axisLook(look), axisLabel: { color: look.text, fontSize: 12, hideOverlap: true, interval: labelled(data), formatter: (index) => slotLabel(data, Number(index)) } },
    yAxis: { type: "value", minInterval: STATE.measure === "cost" ? 0 : 1, splitNumber: 4, ...axisLook(look), axisLine: { show: false }, axisLabel: { color: look.text, fontSize: 12, formatter: measure.axis } },
    series,
  };
}

function axisLook(look) {
  return { axisTick: { show: false }, axisLine: { lineStyle: { color: look.line } }, splitLine: { lineStyle: { color: look.line } } };
}

/** Return the bars that get a label: midnights if there are some days, else every few bars. */
function labelled(data) {
  const narrow = byId("time-chart").clientWidth < 520;
  const most = narrow ? 4 : 10;
  const isMidnight = (index) => clockLabel(data.slots[index]) === "00:00";
  const midnights = data.slots.filter((_, index) => isMidnight(index)).length;
  if (data.step < DAY && midnights >= 2) {
    const every = Math.ceil(midnights / most);
    return (index) => isMidnight(index) && Math.round((data.slots[index] - RANGE.from) / DAY) % every === 0;
  }
  const every = Math.ceil(data.slots.length / most);
  return (index) => index % every === 0;
}

function slotLabel(data, index) {
  const seconds = data.slots[index];
  if (data.step >= DAY || clockLabel(seconds) === "00:00") return dayLabel(seconds);
  return clockLabel(seconds, data.step < 60);
}

function dropsBySlot(data) {
  const place = new Map(data.slots.map((seconds, index) => [seconds, index]));
  const texts = new Map();
  const note = (time, text) => {
    const index = unknown(time) ? undefined : place.get(data.slotOf(time));
    if (index !== undefined) texts.set(index, (texts.get(index) || []).concat(text));
  };
  DATA.drops.time.forEach((time, row) => note(time, plural(DATA.drops.count[row], "record") + " dropped"));
  for (const end of DATA.unclean) note(end.time, "unclean end");
  DATA.gaps.time.forEach((time, row) => note(time, plural(DATA.gaps.missing[row], "line") + " missing"));
  return texts;
}

function dropLines(drops, look) {
  return {
    symbol: ["none", "triangle"], symbolSize: 7, symbolRotate: 180, silent: true, label: { show: false }, animation: false,
    lineStyle: { color: look.bad, type: "dashed", width: 1.25, opacity: 0.9 },
    data: [...drops.keys()].map((index) => ({ xAxis: index })),
  };
}

function timeTip(index, data, measure, drops) {
  const rows = data.order
    .map((colour) => [colour, data.series.get(colour)[index]])
    .filter(([, value]) => !unknown(value))
    .map(([colour, value]) => el("tr", null, el("th", { scope: "row" }, swatch(colour), colourName(colour)), el("td", null, measure.format(value))));
  const sum = data.order.reduce((all, colour) => add(all, data.series.get(colour)[index]), null);
  const end = index + 1 < data.slots.length ? data.slots[index + 1] : data.slots[index] + data.step;
  const title = data.step >= DAY ? stamp(data.slots[index]).slice(0, 10) + (data.step > DAY ? " and after" : "") : stamp(data.slots[index], data.step < 60) + " to " + clockLabel(end, data.step < 60);
  if (rows.length > 1) rows.push(el("tr", { class: "sum" }, el("th", { scope: "row" }, "all"), el("td", null, measure.format(sum))));
  const bad = (drops.get(index) || []).slice(0, 4).map((text) => el("p", { class: "bad" }, text));
  return el("div", null, el("p", { class: "tip-title" }, title), el("table", null, el("tbody", null, ...rows)), rows.length ? null : el("p", null, "nothing"), ...bad);
}

function swatch(colour) {
  return el("span", { class: "swatch", style: "background:" + colourVariable(colour), "aria-hidden": "true" });
}

/** Draw the models of the chart as buttons: each shows or hides a model everywhere. */
function drawLegend() {
  const legend = byId("legend");
  const focused = legend.contains(document.activeElement) ? document.activeElement.dataset.model : null;
  const named = MODEL_ORDER.slice(0, COLOURS);
  const buttons = named.map((model) => {
    const isOn = !STATE.models || STATE.models.has(model);
    const press = () => change({ models: STATE.models && STATE.models.size === 1 && isOn ? null : new Set([model]) });
    return el("button", { type: "button", class: "key", "data-model": model, "aria-pressed": String(isOn), title: "Show this model only, or all again", onclick: press }, swatch(colourOf(model)), modelName(model));
  });
  if (MODEL_ORDER.length > COLOURS) buttons.push(el("span", { class: "key" }, swatch(COLOURS), plural(MODEL_ORDER.length - COLOURS, "other model")));
  clear(legend, ...buttons);
  const again = buttons.find((button) => button.dataset.model === focused);
  if (again && focused) again.focus();
}

// -- latency -------------------------------------------------------------------

function latencyCounts(name, rows, tools) {
  if (name === "tool") return histogram(DATA.tool_calls.latency, tools);
  if (name === "attempt") return attemptHistogram(rows);
  return histogram(name === "round" ? DATA.calls.round_latency : DATA.calls.request_latency, rows);
}

/** Return p50, p95 and p99 of what is shown, exact where the summary has them. */
function latencyQuantiles(counts) {
  const known = { attempt: "latency", tool: "tool_latency" }[STATE.latency];
  const exactly = known && !isFiltered(STATE);
  return ["50", "95", "99"].map((share) => {
    const value = exactly ? DATA.totals[known + "_p" + share + "_ms"] : quantile(counts, Number(share) / 100);
    return { name: share === "50" ? "median" : "p" + share, value, rough: !exactly };
  });
}

function drawLatency(rows, tools) {
  const choices = Object.entries(LATENCIES).filter(([name]) => name === STATE.latency || latencyCounts(name, everyRow(DATA.calls), everyRow(DATA.tool_calls)).some(Boolean));
  segments("latencies", choices, STATE.latency, (latency) => change({ latency }));
  const counts = latencyCounts(STATE.latency, rows, tools);
  const total = counts.reduce((sum, value) => sum + value, 0);
  const points = latencyQuantiles(counts);
  const facts = [["measured", count(total)], ...points.map((point) => [point.name, rough(duration(point.value), point.rough, point.value)])];
  clear(byId("latency-figures"), ...facts.map(([name, text]) => el("div", null, el("dt", null, name), el("dd", null, text))));
  byId("latency-chart").hidden = !total;
  byId("latency-empty").hidden = Boolean(total);
  byId("latency-empty").textContent = "No latency was reported in this selection";
  if (!total) return;
  const chart = chartOf("latency-chart");
  chart.setOption(latencyOption(counts, points, total), { notMerge: true });
  chart.resize();
  byId("latency-chart").setAttribute("aria-label", "Distribution of latency, " + LATENCIES[STATE.latency] + ": " + facts.map((fact) => fact.join(" ")).join(", "));
}

function everyRow(columns) {
  return columns.bucket.map((_, row) => row);
}

function latencyOption(counts, points, total) {
  const look = colours();
  const first = Math.max(0, counts.findIndex(Boolean) - 1);
  const last = counts.length - 1 - [...counts].reverse().findIndex(Boolean);
  const bins = counts.slice(first, last + 2 > counts.length ? counts.length : last + 2);
  return {
    animation: false,
    grid: { left: 8, right: 16, top: 30, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    tooltip: { trigger: "axis", appendTo: "body", className: "tip", axisPointer: { type: "shadow", shadowStyle: { color: look.line, opacity: 0.45 } }, formatter: (items) => latencyTip(first + items[0].dataIndex, counts, total) },
    xAxis: { type: "category", data: bins.map((_, index) => index), ...axisLook(look), axisLabel: { color: look.text, fontSize: 12, hideOverlap: true, align: "center", formatter: (index) => axisDuration(DATA.latency_edges_ms[first + Number(index)]) } },
    yAxis: { type: "value", minInterval: 1, splitNumber: 3, ...axisLook(look), axisLine: { show: false }, axisLabel: { color: look.text, fontSize: 12, formatter: (value) => short.format(value) } },
    series: [{ type: "bar", data: bins, barCategoryGap: "8%", itemStyle: { color: look.accent }, emphasis: { disabled: true }, markLine: quantileLines(points, first, bins.length, look) }],
  };
}

function axisDuration(ms) {
  return ms < 1000 ? Math.round(ms) + SPACE + "ms" : ms < 60000 ? threeDigits.format(ms / 1000) + SPACE + "s" : threeDigits.format(ms / 60000) + SPACE + "min";
}

function quantileLines(points, first, length, look) {
  const edges = DATA.latency_edges_ms;
  const places = new Map();
  for (const { name, value } of points) {
    if (unknown(value) || name === "p99") continue; // two lines can be read, three run together
    let place = edges.length - 1;
    while (place > 0 && edges[place] > value) place--;
    place = Math.min(length - 1, Math.max(0, place - first));
    places.set(place, (places.get(place) || []).concat(name));
  }
  const data = [...places].map(([place, names]) => ({ xAxis: place, label: { formatter: names.join(", ") } }));
  return { symbol: "none", silent: true, animation: false, data, lineStyle: { color: look.strong, type: "dashed", width: 1 }, label: { color: look.strong, fontSize: 12, position: "end" } };
}

function latencyTip(place, counts, total) {
  const edges = DATA.latency_edges_ms;
  const title = place + 1 < edges.length ? duration(edges[place]) + " to " + duration(edges[place + 1]) : duration(edges[place]) + " and more";
  return el("div", null, el("p", { class: "tip-title" }, title), el("p", null, count(counts[place]) + ", " + percent(counts[place] / total)));
}
