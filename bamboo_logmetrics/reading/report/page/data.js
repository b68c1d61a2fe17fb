// The data of the page: columns of equal length, and dictionaries that they point into.

const DATA = JSON.parse(byId("data").textContent);
const WIDTH = DATA.bucket_s;
const FIRST = DATA.covers.first;
const LAST = DATA.covers.last;
const NO_NAME = "unknown";

function nameOf(names, index) {
  return unknown(index) ? NO_NAME : names[index] || NO_NAME;
}

function modelName(index) {
  return nameOf(DATA.models, index);
}

function projectName(index) {
  return nameOf(DATA.projects, index);
}

/** Return the start of the bucket that a time is in: shorter ones begin in UTC, those of days at midnight of the zone. */
function bucketOf(seconds) {
  if (WIDTH < 86400) return Math.floor(seconds / WIDTH) * WIDTH;
  return fromZone(Math.floor((seconds + offsetAt(seconds)) / WIDTH) * WIDTH);
}

/** Return the first bucket after a time, or the time if a bucket starts there. */
function bucketFrom(seconds) {
  const start = bucketOf(seconds);
  return start === seconds ? start : bucketOf(start + 1.5 * WIDTH);
}

const RANGE = unknown(FIRST) ? null : { from: bucketOf(FIRST), to: bucketFrom(LAST + 1) };

/** Models by weight: those with the highest cost, else the most tokens, first. */
const MODEL_ORDER = (function () {
  const weights = DATA.models.map((_, index) => ({ index, cost: 0, tokens: 0, calls: 0 }));
  DATA.calls.model.forEach((index, row) => {
    const weight = weights[index];
    weight.cost += DATA.calls.cost_usd[row] || 0;
    weight.tokens += DATA.calls.total_tokens[row] || 0;
    weight.calls += DATA.calls.calls[row] + DATA.calls.rounds[row];
  });
  const used = weights.filter((weight) => weight.calls);
  used.sort((a, b) => b.cost - a.cost || b.tokens - a.tokens || b.calls - a.calls || a.index - b.index);
  return used.map((weight) => weight.index);
})();

const COLOURS = 7; // models with a colour of their own; the rest are "other models"

/** Return the number of a model's colour; the last one is for all others. */
function colourOf(model) {
  const place = MODEL_ORDER.indexOf(model);
  return place < 0 || place >= COLOURS ? COLOURS : place;
}

function colourVariable(number) {
  return "var(--c" + number + ")";
}
