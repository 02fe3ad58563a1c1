// @ts-check
// Curves of one quantity on both tracks. Stable is a plain line, canary one with
// dots, the limit is dashed: the colours only repeat that.

import { h, micros, s, share } from "./dom.js";

const W = 640, H = 200, LEFT = 52, RIGHT = 10, TOP = 12, BOTTOM = 22;
const TITLES = { errors: "Server errors, in this step", p99: "p99 of the time to answer, since the rollout began", p50: "p50 of the time to answer, since the rollout began" };

/** Draws the line of that name in all points. */
export function chart(name, points) {
  const rows = points.map((p) => ({ ...p, line: p.lines?.find((l) => l.name === name) })).filter((p) => p.line);
  if (rows.length === 0) return null;
  const last = rows.at(-1).line;
  const format = last.unit === "share" ? share : micros;
  const words = summary(last, format);
  return h("figure", { class: "chart", key: `chart-${name}` },
    h("figcaption", null, h("strong", null, TITLES[name] ?? `Gate ${name}`)),
    picture(rows, format, `${TITLES[name] ?? name}: ${words}`),
    h("p", { class: "legend" }, words));
}

/** Draws the last error rates of both tracks in little: pairs of canary's and stable's. */
export function spark(points) {
  const all = points.flat().filter((v) => v !== null);
  const top = Math.max(0.01, ...all) * 1.1;
  const line = (track, k) => {
    let path = "", pen = false;
    points.forEach((pair, at) => {
      if (pair[k] === null) { pen = false; return; }
      path += `${pen ? "L" : "M"}${(at * 100 / Math.max(1, points.length - 1)).toFixed(1)},${(19 - pair[k] / top * 18).toFixed(1)}`;
      pen = true;
    });
    return s("path", { class: `line ${track}`, "vector-effect": "non-scaling-stroke", d: path || "M0,0" });
  };
  return s("svg", { class: "spark", viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" }, line("stable", 1), line("canary", 0));
}

/** The names of all lines, in the order of their first point. */
export function names(points) {
  const all = new Set();
  for (const p of points) for (const l of p.lines ?? []) all.add(l.name);
  return [...all];
}

function summary(line, format) {
  const one = (track, e) => {
    if (e.value === undefined) return `${track}: not known yet (${e.n})`;
    const band = e.low !== undefined && e.high !== undefined ? `, ${format(e.low)} to ${format(e.high)}` : "";
    return `${track} ${format(e.value)}${band} (${e.n})`;
  };
  const limit = line.limit === undefined ? "" : ` · limit ${format(line.limit)}`;
  return `${one("●─ canary", line.canary)} · ${one("── stable", line.stable)}${limit}`;
}

function picture(rows, format, label) {
  const from = rows[0].at, to = Math.max(rows.at(-1).at, from + 1000);
  const top = ceiling(rows);
  const x = (at) => LEFT + (at - from) / (to - from) * (W - LEFT - RIGHT);
  const y = (value) => H - BOTTOM - Math.min(1.05, value / top) * (H - TOP - BOTTOM);
  return s("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label },
    grid(top, format, y), times(from, to, x), marks(rows, x),
    band("stable", rows, x, y), band("canary", rows, x, y),
    curve("limit", rows, x, y, (p) => p.line.limit),
    curve("stable", rows, x, y, (p) => p.line.stable.value),
    curve("canary", rows, x, y, (p) => p.line.canary.value),
    dots(rows, x, y));
}

/** The highest value that is drawn: bands of the first moments would squeeze the rest. */
function ceiling(rows) {
  let top = 0;
  for (const { line } of rows) {
    for (const v of [line.canary.value, line.stable.value, line.limit]) if (v !== undefined) top = Math.max(top, v);
  }
  const high = rows.at(-1).line.canary.high ?? 0;
  return Math.max(1.25 * top, Math.min(high * 1.1, 3 * top)) || (rows[0].line.unit === "share" ? 0.01 : 1000);
}

function grid(top, format, y) {
  return [0, 0.5, 1].map((part) => s("g", null,
    s("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: y(part * top), y2: y(part * top) }),
    s("text", { class: "tick", x: LEFT - 6, y: y(part * top) + 4, "text-anchor": "end" }, part === 0 ? "0" : format(part * top))));
}

function times(from, to, x) {
  const clock = (at) => new Date(at).toLocaleTimeString("en-GB");
  return [s("text", { class: "tick", x: x(from), y: H - 6 }, clock(from)), s("text", { class: "tick", x: x(to), y: H - 6, "text-anchor": "end" }, clock(to))];
}

/** Where steps began. */
function marks(rows, x) {
  return rows.filter((p, k) => k > 0 && p.step !== rows[k - 1].step).map((p) => s("g", null,
    s("line", { class: "mark", x1: x(p.at), x2: x(p.at), y1: TOP, y2: H - BOTTOM }),
    s("text", { class: "tick", x: x(p.at) + 3, y: TOP + 8 }, `step ${p.step}`)));
}

function band(track, rows, x, y) {
  const known = rows.filter((p) => p.line[track].low !== undefined && p.line[track].high !== undefined);
  if (known.length < 2) return null;
  const up = known.map((p) => `${x(p.at).toFixed(1)},${y(p.line[track].high).toFixed(1)}`);
  const down = known.map((p) => `${x(p.at).toFixed(1)},${y(p.line[track].low).toFixed(1)}`).reverse();
  return s("polygon", { class: `band ${track}`, points: [...up, ...down].join(" ") });
}

function curve(track, rows, x, y, value) {
  let path = "", pen = false, step = 0;
  for (const p of rows) {
    const v = value(p);
    if (v === undefined) { pen = false; continue; }
    path += `${pen && p.step === step ? "L" : "M"}${x(p.at).toFixed(1)},${y(v).toFixed(1)}`;
    pen = true;
    step = p.step;
  }
  return s("path", { class: `line ${track}`, d: path || "M0,0" });
}

function dots(rows, x, y) {
  const known = rows.filter((p) => p.line.canary.value !== undefined);
  const every = Math.max(1, Math.ceil(known.length / 20));
  return known.filter((_, k) => (known.length - 1 - k) % every === 0)
    .map((p) => s("circle", { class: "dot", cx: x(p.at).toFixed(1), cy: y(p.line.canary.value).toFixed(1), r: 2.6 }));
}
