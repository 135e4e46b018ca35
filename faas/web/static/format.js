/** How figures are written: counts, durations, sizes, exact money, moments. Pure functions. */

const PICO_DIGITS = 12;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const grouped = new Intl.NumberFormat("en-US");
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** A number with its thousands apart. */
export const count = (number) => grouped.format(number);

/** A number in at most five characters: `12.3K`. */
export const compact = (number) => (Math.abs(number) < 10_000 ? grouped.format(number) : short.format(number));

/** Three digits that matter. */
function three(number) {
  if (number >= 100 || Number.isInteger(number)) return grouped.format(Math.round(number));
  return number.toFixed(number >= 10 ? 1 : 2);
}

/** A duration given in milliseconds. It is rounded before it is parted, or there would be minutes of 60 seconds. */
export function ms(value) {
  if (value === null || value === undefined) return "–";
  if (value < SECOND - 0.5) return `${three(value)} ms`;
  if (value < MINUTE - 50) return `${three(value / SECOND)} s`;
  return parted(value, MINUTE, "min", SECOND, "s", HOUR) ?? parted(value, HOUR, "h", MINUTE, "min", DAY) ?? parted(value, DAY, "d", HOUR, "h");
}

function parted(value, large, largeName, small, smallName, below = Infinity) {
  const whole = Math.round(value / small) * small;
  return whole < below ? `${Math.floor(whole / large)} ${largeName} ${(whole % large) / small} ${smallName}` : null;
}

/** A duration given in microseconds. */
export const us = (value) => (value === null || value === undefined ? "–" : ms(value / 1000));

/** A size. */
export function bytes(value) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let size = value;
  let place = 0;
  while (size >= 1000 && place < units.length - 1) {
    size /= 1000;
    place += 1;
  }
  return `${place === 0 ? size : three(size)} ${units[place]}`;
}

/** A part of a whole. */
export function share(part, whole) {
  if (!whole) return "–";
  const percent = (100 * part) / whole;
  if (percent > 0 && percent < 0.1) return "< 0.1 %";
  return `${percent >= 10 || percent === 0 ? Math.round(percent) : percent.toFixed(1)} %`;
}

/** Calls per time, over a span of so many milliseconds. */
export function rate(number, spanMs) {
  const perSecond = number / (spanMs / SECOND);
  if (number === 0) return "0";
  if (perSecond >= 1) return `${three(perSecond)}/s`;
  if (perSecond * 60 >= 1) return `${three(perSecond * 60)}/min`;
  return `${three(perSecond * 3600)}/h`;
}

/** Pico-units as a decimal of the currency, to the last digit; whole numbers only, so nothing is rounded. */
export function money(pico, currency = "") {
  const whole = BigInt(pico ?? 0);
  const digits = (whole < 0n ? -whole : whole).toString().padStart(PICO_DIGITS + 1, "0");
  const after = digits.slice(-PICO_DIGITS).replace(/0+$/, "");
  const before = digits.slice(0, -PICO_DIGITS).replace(/\B(?=(\d{3})+$)/g, ",");
  return `${whole < 0n ? "-" : ""}${before}${after ? `.${after}` : ""}${currency ? ` ${currency}` : ""}`;
}

/** Money where there is little room: four digits that matter. The exact amount belongs into the title. */
export function moneyShort(pico) {
  const value = Number(pico ?? 0) / 1e12;
  if (value === 0) return "0";
  if (value >= 1000) return short.format(value);
  return value >= 1 ? value.toFixed(2) : value.toFixed(Math.min(12, 3 - Math.floor(Math.log10(value)))).replace(/0+$/, "");
}

/** The sum of amounts, whole. */
export const sum = (amounts) => amounts.reduce((total, each) => total + BigInt(each ?? 0), 0n);

/** A moment in full, in the time zone of whoever looks. */
export const moment = (atMs) => absolute.format(atMs);

/** The time of day with milliseconds. */
export const time = (atMs) => `${clock.format(atMs)}.${String(Math.floor(atMs) % 1000).padStart(3, "0")}`;

/** The day and time as logs show it, sortable. */
export function stamp(atMs) {
  const at = new Date(atMs);
  const two = (number) => String(number).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time(atMs)}`;
}

/** How long ago, or in how long. */
export function ago(atMs, nowMs = Date.now()) {
  const passed = nowMs - atMs;
  const away = Math.abs(passed);
  if (away < 2 * SECOND) return "now";
  const [size, unit] =
    away < MINUTE ? [SECOND, "s"] : away < HOUR ? [MINUTE, "min"] : away < 2 * DAY ? [HOUR, "h"] : [DAY, "d"];
  const text = `${Math.floor(away / size)} ${unit}`;
  return passed >= 0 ? `${text} ago` : `in ${text}`;
}

/** The beginning of an id: enough to tell it from others, and what every command takes. */
export const brief = (id) => id.slice(0, 18);

/** JSON for people. Integers that no number holds exactly come as BigInt and are written whole. */
export function pretty(value) {
  if (value === undefined) return "";
  return JSON.stringify(value, (_, each) => (typeof each === "bigint" ? exactly(each) : each), 2);
}

function exactly(value) {
  return JSON.rawJSON ? JSON.rawJSON(value.toString()) : value.toString();
}

/** Spans that can be looked at, and the width of a point in each. */
export const SPANS = {
  "15m": { text: "15 minutes", ms: 15 * MINUTE, every: "1m", everyMs: MINUTE },
  "1h": { text: "1 hour", ms: HOUR, every: "1m", everyMs: MINUTE },
  "6h": { text: "6 hours", ms: 6 * HOUR, every: "5m", everyMs: 5 * MINUTE },
  "1d": { text: "1 day", ms: DAY, every: "15m", everyMs: 15 * MINUTE },
  "7d": { text: "7 days", ms: 7 * DAY, every: "2h", everyMs: 2 * HOUR },
  "30d": { text: "30 days", ms: 30 * DAY, every: "12h", everyMs: 12 * HOUR },
};

/** What a line of `logging` says, without the level, moment, id and fields that stand beside it; other lines as they are. */
export const said = (line) => /^\[[A-Z]+\]\t[^\t]+\t[^\t]+\t([^]*?)(?:\t\{[^]*\})?$/.exec(line)?.[1] ?? line;
