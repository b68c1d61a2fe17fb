// Sums over the rows that the filters leave. A sum of what was never reported is null.

const SUMS = [
  "rounds", "requests", "errors", "calls", "usage_calls", "priced", "cost_usd", "prompt_tokens", "completion_tokens", "total_tokens",
  "cache_read_tokens", "cache_hit_tokens", "cache_hit_prompt_tokens",
];

/** Return the indexes of the rows of columns that the filters leave. */
function rowsOf(columns, state) {
  const rows = [];
  for (let row = 0; row < columns.bucket.length; row++) {
    if (inTime(columns.bucket[row], state) && inNames(columns, row, state)) rows.push(row);
  }
  return rows;
}

function inTime(seconds, state) {
  return (state.from === null || seconds >= state.from) && (state.to === null || seconds < state.to);
}

function inNames(columns, row, state) {
  return (!state.models || state.models.has(columns.model[row])) && (!state.projects || state.projects.has(columns.project[row]));
}

function add(sum, value) {
  if (unknown(value)) return sum;
  return unknown(sum) ? value : sum + value;
}

/** Return the sums of some rows of the calls. */
function sumCalls(rows) {
  const sums = {};
  for (const name of SUMS) {
    const column = DATA.calls[name];
    sums[name] = null;
    for (const row of rows) sums[name] = add(sums[name], column[row]);
  }
  for (const name of ["rounds", "requests", "errors", "calls", "usage_calls", "priced"]) sums[name] = sums[name] || 0;
  return sums;
}

function ratio(part, all) {
  return unknown(part) || !all ? null : part / all;
}

function hitRatio(sums) {
  return ratio(sums.cache_hit_tokens, sums.cache_hit_prompt_tokens);
}

/** Return one histogram, counts by edge, from a column of sparse ones. */
function histogram(column, rows) {
  const counts = new Array(DATA.latency_edges_ms.length).fill(0);
  for (const row of rows) {
    const pairs = column[row];
    for (let place = 0; place < pairs.length; place += 2) counts[pairs[place]] += pairs[place + 1];
  }
  return counts;
}

/** Return the histogram of the calls: requests, and rounds that have no request. */
function attemptHistogram(rows) {
  return histogram(DATA.calls.attempt_latency, rows);
}

/** Return a quantile of a histogram in milliseconds, or null; it is between the edges of its bar. */
function quantile(counts, share) {
  const total = counts.reduce((sum, value) => sum + value, 0);
  if (!total) return null;
  const edges = DATA.latency_edges_ms;
  let before = 0;
  for (let place = 0; place < counts.length; place++) {
    if (counts[place] && before + counts[place] >= share * total) {
      const low = edges[place];
      const high = place + 1 < edges.length ? edges[place + 1] : low * 1.3;
      return low + ((high - low) * (share * total - before)) / counts[place];
    }
    before += counts[place];
  }
  return null;
}

/** Return the sessions, as row numbers, that the filters leave. */
function sessionsOf(state) {
  const rows = [];
  const sessions = DATA.sessions;
  for (let row = 0; row < sessions.id.length; row++) {
    const late = state.from !== null && sessions.last[row] < state.from;
    const early = state.to !== null && sessions.first[row] >= state.to;
    if (!late && !early && inNames(sessions, row, state)) rows.push(row);
  }
  return rows;
}

function droppedIn(state) {
  let sum = null;
  DATA.drops.time.forEach((time, row) => {
    if (inTime(time, state)) sum = add(sum, DATA.drops.count[row]);
  });
  return sum;
}

/** Return the key figures: the totals of the summary, or sums of what the filters leave. */
function keyFigures(state) {
  if (!isFiltered(state)) return { ...DATA.totals, exact: true };
  const rows = rowsOf(DATA.calls, state);
  const tools = rowsOf(DATA.tool_calls, state);
  const sums = sumCalls(rows);
  const counts = attemptHistogram(rows);
  const sumOf = (column) => tools.reduce((sum, row) => sum + column[row], 0);
  const sessions = sessionsOf(state);
  return {
    ...sums,
    priced_calls: sums.priced,
    error_rate: ratio(sums.errors, sums.calls),
    cache_hit_ratio: hitRatio(sums),
    tool_calls: sumOf(DATA.tool_calls.count),
    tool_errors: sumOf(DATA.tool_calls.errors),
    sessions: sessions.length,
    active_sessions: sessions.filter((row) => DATA.sessions.active[row]).length,
    latency_p50_ms: quantile(counts, 0.5),
    latency_p95_ms: quantile(counts, 0.95),
    latency_p99_ms: quantile(counts, 0.99),
    dropped: droppedIn(state),
    exact: false,
  };
}
