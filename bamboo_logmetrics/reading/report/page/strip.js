// The time axis of the whole log: activity in grey, drops and unclean ends in red, and a range to drag or to move by keys.

const STRIP_BARS = 160;
const STRIP_HEIGHT = 64;

let stripDrag = null;

function stripShare(seconds) {
  return (seconds - RANGE.from) / (RANGE.to - RANGE.from);
}

function drawStrip() {
  const host = byId("strip");
  if (!RANGE) {
    clear(host, el("p", { class: "empty" }, "No events."));
    return;
  }
  const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.handle : null;
  const from = STATE.from === null ? RANGE.from : STATE.from;
  const to = STATE.to === null ? RANGE.to : STATE.to;
  const canvas = el("div", { class: "strip-canvas" }, stripBars(), ...stripMarks(), stripShade(0, stripShare(from)), stripShade(stripShare(to), 1));
  const handles = [stripHandle("from", "Start of the range", from), stripHandle("to", "End of the range", to)];
  canvas.append(...handles);
  canvas.addEventListener("pointerdown", startStripDrag);
  clear(host, canvas, stripLabels());
  byId("strip-note").textContent = stripNote();
  if (focused) handles[focused === "from" ? 0 : 1].focus();
}

function stripNote() {
  const drops = DATA.drops.count.reduce((sum, value) => sum + value, 0);
  const parts = [];
  if (drops) parts.push(plural(drops, "dropped record"));
  if (DATA.unclean.length) parts.push(plural(DATA.unclean.length + DATA.more_unclean, "unclean end"));
  if (DATA.gaps.time.length) parts.push(plural(DATA.gaps.missing.reduce((sum, value) => sum + value, 0), "missing line"));
  return (parts.length ? "In red: " + parts.join(", ") + ". " : "") + "Drag to select a range.";
}

/** Return the bars: rounds and requests, in at most a fixed number of slices. */
function stripBars() {
  const slices = new Array(STRIP_BARS).fill(0);
  const add = (columns, values) =>
    columns.bucket.forEach((start, row) => {
      const place = Math.min(STRIP_BARS - 1, Math.floor(stripShare(start) * STRIP_BARS));
      slices[place] += values[row];
    });
  add(DATA.calls, DATA.calls.calls);
  add(DATA.tool_calls, DATA.tool_calls.count);
  const highest = Math.max(1, ...slices);
  const fullWidth = Math.max(1, (WIDTH / (RANGE.to - RANGE.from)) * STRIP_BARS);
  const bars = slices.map((value, place) => {
    const height = value ? Math.max(2, (value / highest) * (STRIP_HEIGHT - 6)) : 0;
    return value ? svg("rect", { x: place, width: fullWidth - Math.min(0.25, fullWidth / 4), y: STRIP_HEIGHT - height, height }) : "";
  });
  const text = "Calls and tool calls over the whole time of the log";
  return svg("svg", { class: "strip-bars", viewBox: "0 0 " + STRIP_BARS + " " + STRIP_HEIGHT, preserveAspectRatio: "none", role: "img", "aria-label": text }, ...bars.filter(Boolean));
}

function stripMarks() {
  const marks = DATA.drops.time.map((time, row) => [time, plural(DATA.drops.count[row], "record") + " dropped: " + DATA.drops.reason[row]]);
  for (const end of DATA.unclean) marks.push([end.time, "unclean end: " + end.text]);
  DATA.gaps.time.forEach((time, row) => marks.push([time, plural(DATA.gaps.missing[row], "line") + " missing"]));
  return marks.filter(([time]) => !unknown(time)).map(([time, text]) =>
    el("span", { class: "strip-mark", style: "left:" + 100 * Math.min(1, Math.max(0, stripShare(time))) + "%", title: stamp(time, true) + " " + text })
  );
}

function stripShade(from, to) {
  const width = Math.max(0, to - from) * 100;
  return el("span", { class: "strip-shade", style: "left:" + from * 100 + "%;width:" + width + "%" });
}

function stripHandle(name, label, seconds) {
  const handle = el("span", {
    class: "strip-handle " + name, "data-handle": name, tabindex: "0", role: "slider", "aria-label": label,
    "aria-valuemin": RANGE.from, "aria-valuemax": RANGE.to, "aria-valuenow": seconds, "aria-valuetext": stamp(seconds),
    style: "left:" + stripShare(seconds) * 100 + "%",
  });
  handle.addEventListener("keydown", (event) => moveStripHandle(event, name, seconds));
  return handle;
}

function moveStripHandle(event, name, seconds) {
  const step = Math.max(WIDTH, Math.round((RANGE.to - RANGE.from) / 100));
  const steps = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, PageDown: -10 * step, PageUp: 10 * step };
  let next = seconds + steps[event.key];
  if (event.key === "Home") next = RANGE.from;
  if (event.key === "End") next = RANGE.to;
  if (Number.isNaN(next)) return;
  event.preventDefault();
  next = Math.min(RANGE.to, Math.max(RANGE.from, next));
  if (name === "from") selectTime(Math.min(next, (STATE.to === null ? RANGE.to : STATE.to) - WIDTH), STATE.to);
  else selectTime(STATE.from, Math.max(next, (STATE.from === null ? RANGE.from : STATE.from) + WIDTH));
}

function startStripDrag(event) {
  if (event.button) return;
  const canvas = event.currentTarget;
  const box = canvas.getBoundingClientRect();
  const at = (x) => RANGE.from + Math.min(1, Math.max(0, (x - box.left) / box.width)) * (RANGE.to - RANGE.from);
  const name = event.target.dataset.handle;
  const from = STATE.from === null ? RANGE.from : STATE.from;
  const to = STATE.to === null ? RANGE.to : STATE.to;
  stripDrag = { at, x: event.clientX, fixed: name === "from" ? to : name === "to" ? from : at(event.clientX), handle: Boolean(name) };
  const selection = el("span", { class: "strip-selection" });
  canvas.append(selection);
  const show = (move) => {
    const shares = [stripShare(stripDrag.fixed), stripShare(at(move.clientX))].sort((a, b) => a - b);
    selection.style.left = shares[0] * 100 + "%";
    selection.style.width = (shares[1] - shares[0]) * 100 + "%";
  };
  const end = (up) => {
    window.removeEventListener("pointermove", show);
    window.removeEventListener("pointerup", end);
    window.removeEventListener("pointercancel", end);
    selection.remove();
    const times = [stripDrag.fixed, at(up.clientX)].sort((a, b) => a - b);
    if (up.type === "pointerup" && Math.abs(up.clientX - stripDrag.x) > 4) selectTime(...times);
    stripDrag = null;
  };
  window.addEventListener("pointermove", show);
  window.addEventListener("pointerup", end);
  window.addEventListener("pointercancel", end);
}

/** Return a few times under the axis: days, or hours where it is shorter. */
function stripLabels() {
  const length = RANGE.to - RANGE.from;
  const shares = byId("strip").clientWidth < 520 ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1];
  const labels = shares.map((share) => {
    const seconds = RANGE.from + share * length;
    const text = length > 3 * DAY ? dayLabel(seconds) : (length > DAY / 2 ? dayLabel(seconds) + " " : "") + clockLabel(seconds, length < 600);
    return el("span", null, text);
  });
  return el("div", { class: "strip-labels", "aria-hidden": "true" }, ...labels);
}
