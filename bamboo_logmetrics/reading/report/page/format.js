// Numbers, money, durations and times as people read them. Unknown is "not reported", never 0.

const NOT_REPORTED = "not reported";
const SPACE = "\u00a0";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const exactlyThree = new Intl.NumberFormat("en", { notation: "compact", minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
const exactlyThreeDigits = new Intl.NumberFormat("en", { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
const threeDigits = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const percents = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const cents = new Intl.NumberFormat("en", { style: "currency", currency: "USD" });
const finer = new Intl.NumberFormat("en", { style: "currency", currency: "USD", minimumFractionDigits: 4, maximumFractionDigits: 4 });
const tiny = new Intl.NumberFormat("en", { style: "currency", currency: "USD", maximumSignificantDigits: 2 });
const shortMoney = new Intl.NumberFormat("en", { style: "currency", currency: "USD", notation: "compact", maximumSignificantDigits: 3 });

function unknown(value) {
  return value === null || value === undefined;
}

function count(value) {
  return unknown(value) ? NOT_REPORTED : whole.format(value);
}

/** Return a number in few characters, such as 41.2M, once it is long. */
function brief(value) {
  if (unknown(value)) return NOT_REPORTED;
  return Math.abs(value) < 1e6 ? whole.format(value) : exactlyThree.format(value);
}

function percent(value) {
  return unknown(value) ? NOT_REPORTED : percents.format(value);
}

function money(value) {
  if (unknown(value)) return NOT_REPORTED;
  if (value === 0 || Math.abs(value) >= 0.1) return cents.format(value);
  return Math.abs(value) >= 0.001 ? finer.format(value) : tiny.format(value);
}

/** Return a duration of milliseconds with its unit. */
function duration(ms) {
  if (unknown(ms)) return NOT_REPORTED;
  if (ms < 1000) return whole.format(ms) + SPACE + "ms";
  const seconds = ms / 1000;
  if (seconds < 60) return exactlyThreeDigits.format(seconds) + SPACE + "s";
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return minutes + SPACE + "min" + SPACE + Math.floor(seconds % 60) + SPACE + "s";
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return hours + SPACE + "h" + SPACE + (minutes % 60) + SPACE + "min";
  return whole.format(hours / 24) + SPACE + "days";
}

/** Return the word for a number of things: one call, two calls. */
function plural(value, word, words) {
  return count(value) + " " + (value === 1 ? word : words || word + "s");
}

// -- times, in the zone of the report ----------------------------------------

function offsetAt(seconds) {
  let offset = DATA.offset_s.length ? DATA.offset_s[0][1] : 0;
  for (const [from, value] of DATA.offset_s) if (from <= seconds) offset = value;
  return offset;
}

/** Return a date whose UTC fields are those of the zone. */
function zoned(seconds) {
  return new Date((seconds + offsetAt(seconds)) * 1000);
}

/** Return the seconds since 1970 of seconds on the zone's clock. */
function fromZone(local) {
  const near = local - offsetAt(local);
  return local - offsetAt(near);
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function stamp(seconds, withSeconds) {
  if (unknown(seconds)) return NOT_REPORTED;
  return zoned(seconds).toISOString().slice(0, withSeconds ? 19 : 16).replace("T", " ");
}

function dayLabel(seconds) {
  const date = zoned(seconds);
  return MONTHS[date.getUTCMonth()] + SPACE + date.getUTCDate();
}

function clockLabel(seconds, withSeconds) {
  return zoned(seconds).toISOString().slice(11, withSeconds ? 19 : 16);
}
