/** Charts over time, by uPlot, in the colours of the theme; and sparklines. */

import UPlot from "./vendor/uplot/uplot.js";
import * as format from "./format.js";
import { h, refill, svg } from "./dom.js";

const HEIGHT = 180;
/** So many dots on a line are read one by one. */
const FEW = 24;
const SPARK = { width: 120, height: 24 };

/** A colour of the theme as a canvas takes it: what a variable holds may name one for light and one for dark. */
function colour(name) {
  const probe = h("span", { style: { color: `var(--${name})` } });
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/**
 * A chart: `series` are one value a moment, null where there is none. `names` are `{name, colour, kind}` of each,
 * `kind` being `bars` or nothing; `show` writes a value, and where `isWhole` the axis has no parts of one. Give it new moments and values by `update`.
 */
export function chart({ title, show, names, isWhole = false, sync = "time" }, signal) {
  const legend = h("div.legend", {});
  const plot = h("div.plot", { role: "img" });
  const element = h("figure.chart", {}, h("figcaption", {}, h("h3", {}, title), legend), plot);
  let drawn = null;
  let data = { at: [], series: [] };

  const sized = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (drawn && width > 0 && width !== drawn.width) drawn.setSize({ width, height: HEIGHT });
    else if (!drawn && width > 0) draw();
  });
  sized.observe(plot);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw, { signal });
  addEventListener("theme", draw, { signal });

  function update(at, series) {
    data = { at: at.map((each) => each / 1000), series };
    plot.setAttribute("aria-label", summary(title, data, show));
    values(null);
    if (drawn) drawn.setData(columns(data));
    else draw();
  }

  function draw() {
    const width = Math.floor(plot.clientWidth);
    drawn?.destroy();
    drawn = null;
    if (!width || !plot.isConnected) return;
    drawn = new UPlot(options({ width, names, show, isWhole, sync, onCursor: values }), columns(data), plot);
  }

  function values(place) {
    const shown = place ?? data.at.length - 1;
    refill(
      legend,
      names.map((each, index) =>
        h(
          "span.legend-item", {},
          h("span.legend-mark", { style: { background: `var(--${each.colour})` } }),
          each.name,
          h("span.legend-value", {}, written(data.series[index]?.[shown], show)),
        ),
      ),
      place !== null && data.at[place] ? h("span.legend-at", {}, format.moment(data.at[place] * 1000)) : null,
    );
  }

  return { element, update };
}

function written(value, show) {
  return value === null || value === undefined ? "–" : show(value);
}

function columns({ at, series }) {
  return [at, ...series];
}

function summary(title, { at, series }, show) {
  if (!at.length) return `${title}: no data`;
  const most = series.map((values) => Math.max(0, ...values.filter((value) => value !== null)));
  return `${title}: ${at.length} points, at most ${show(Math.max(0, ...most))}`;
}

function options({ width, names, show, isWhole, sync, onCursor }) {
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { font, stroke: colour("muted"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    padding: [8, 18, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: sync }, points: { size: 6 }, drag: { x: false, y: false }, y: false },
    scales: { x: { time: true, range: around }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
    axes: [
      { ...axis, size: 26, space: 72, values: (plot, ticks) => ticks.map((tick) => moment(tick, plot.scales.x)) },
      { ...axis, size: room, incrs: isWhole ? WHOLE : undefined, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : show(tick))) },
    ],
    series: [{}, ...names.map((each) => drawnAs(each))],
    hooks: { setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)] },
  };
}

const WHOLE = [1, 2, 5].flatMap((digit) => Array.from({ length: 12 }, (_, power) => digit * 10 ** power)).sort((one, other) => one - other);
const DAY_S = 86_400;
const hours = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const days = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** Half a step more at both ends, so that the first bar and the last are whole. */
function around(plot, first, last) {
  const moments = plot.data[0];
  const half = moments.length > 1 ? (moments[1] - moments[0]) / 2 : 30;
  return [first - half, last + half];
}

function moment(atS, { min, max }) {
  return (max - min > 2 * DAY_S ? days : hours).format(atS * 1000);
}

/** As much as the longest text of the axis takes. */
function room(_, texts) {
  return Math.max(56, ...(texts ?? []).map((text) => 14 + 6.4 * text.length));
}

function drawnAs(each) {
  const stroke = colour(each.colour);
  if (each.kind === "bars") {
    return { stroke, fill: stroke, width: 0, points: { show: false }, paths: UPlot.paths.bars({ size: [0.8, 40], gap: 1 }) };
  }
  return { stroke, width: 1.75, spanGaps: false, points: { size: 5, fill: stroke, show: true, filter: dots } };
}

/** Where a line has dots: everywhere while they are few, else where no neighbour makes a line of it. */
function dots(plot, series) {
  const values = plot.data[series];
  const places = values.flatMap((value, place) => (value === null ? [] : [place]));
  if (places.length <= FEW) return places;
  return places.filter((place) => (values[place - 1] ?? null) === null && (values[place + 1] ?? null) === null);
}

/** A small line of counts: how busy something was. */
export function spark(counts, label) {
  const { width, height } = SPARK;
  const most = Math.max(1, ...counts);
  const step = width / Math.max(1, counts.length);
  const bars = counts.map((value, place) => {
    const tall = value === 0 ? 0 : Math.max(1.5, (value / most) * (height - 2));
    const at = { x: (place * step).toFixed(2), y: (height - tall).toFixed(2) };
    return value === 0 ? null : svg("rect", { ...at, width: Math.max(1, step - 1).toFixed(2), height: tall.toFixed(2) });
  });
  const base = svg("line", { x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5 });
  return svg("svg.spark", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label }, base, bars);
}

/**
 * Series of the API as columns: a moment for every span from `sinceMs` to `untilMs`, so that a time without calls is
 * seen as one. Gives the moments and, for each of `picks`, its values; `otherwise` is what a span without points has.
 */
export function filled(points, sinceMs, untilMs, everyMs, picks) {
  const byStart = new Map(points.map((point) => [point.at_ms, point]));
  const first = points.length ? points[0].at_ms % everyMs : 0;
  const at = [];
  for (let start = Math.floor((sinceMs - first) / everyMs) * everyMs + first; start < untilMs; start += everyMs) at.push(start);
  const series = picks.map(({ pick, otherwise }) =>
    at.map((start) => (byStart.has(start) ? pick(byStart.get(start)) : otherwise)),
  );
  return { at, series };
}
