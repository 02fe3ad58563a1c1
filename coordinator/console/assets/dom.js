// @ts-check
// Elements from functions, and a way to bring what stands on the page in line with
// what should: focus, selections and open details stay where they are.

const SVG = "http://www.w3.org/2000/svg";
const HANDLERS = ["onclick", "onsubmit", "oninput", "onchange", "onkeydown"];

/** Makes an HTML element. Handlers are functions; null, undefined and false leave an attribute or child out. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Makes an SVG element. */
export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element[name] = value;
    else if (name === "key") element.dataset.key = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child);
    else if (child !== null && child !== undefined && child !== false && child !== "") element.append(child);
  }
}

/** Brings an element in line with another of the same kind, and uses that one up. */
export function morph(old, next) {
  if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName || keyOf(old) !== keyOf(next)) {
    old.replaceWith(next);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== next.data) old.data = next.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && !next.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const name of HANDLERS) old[name] = next[name];
  morphChildren(old, [...next.childNodes]);
}

/** Brings what is in an element in line with some nodes. */
export function morphChildren(old, nodes) {
  const keyed = new Map();
  for (const child of old.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
  let at = old.firstChild;
  for (const node of nodes) {
    const same = keyed.get(keyOf(node));
    if (same && same !== at) {
      old.insertBefore(same, at);
      morph(same, node);
    } else if (!at || (keyOf(node) && keyOf(at) !== keyOf(node))) {
      old.insertBefore(node, at);
    } else {
      const after = at.nextSibling;
      morph(at, node);
      at = after;
    }
  }
  while (at) {
    const after = at.nextSibling;
    at.remove();
    at = after;
  }
}

function keyOf(node) {
  return node.dataset?.key;
}

// --- words and numbers

/** Basis points as a percentage. */
export function percent(basisPoints) {
  return `${+(basisPoints / 100).toFixed(2)}%`;
}

/** A share of one as a percentage with two digits that count. */
export function share(value) {
  const points = value * 100;
  return `${points === 0 || points >= 1 ? points.toFixed(2) : points.toPrecision(2)}%`;
}

/** Microseconds for people. */
export function micros(value) {
  if (!value || value <= 0) return "-";
  if (value >= 999500) return `${+(value / 1e6).toFixed(1)}s`;
  const ms = value / 1000;
  return `${ms < 1 ? +ms.toFixed(2) : ms < 9.95 ? +ms.toFixed(1) : Math.round(ms)}ms`;
}

/** A span of milliseconds for people. */
export function span(ms) {
  const all = Math.max(0, Math.round(ms / 1000));
  if (all < 60) return `${all}s`;
  if (all < 3600) return `${Math.floor(all / 60)}m${String(all % 60).padStart(2, "0")}s`;
  if (all < 86400) return `${Math.floor(all / 3600)}h${String(Math.floor((all % 3600) / 60)).padStart(2, "0")}m`;
  return `${Math.floor(all / 86400)}d${Math.floor((all % 86400) / 3600)}h`;
}

/** A time of day, with the date if it is not today's. */
export function clock(ms) {
  const at = new Date(ms);
  const time = at.toLocaleTimeString("en-GB");
  return at.toDateString() === new Date().toDateString() ? time : `${at.toLocaleDateString("en-CA")} ${time}`;
}

export function plural(n, word) {
  return `${n} ${word}${n === 1 ? "" : "s"}`;
}

// --- what several pages show

const MARKS = {
  Preparing: "◌", Progressing: "▶", Paused: "❚❚", Promoting: "▲", RollingBack: "◀",
  Succeeded: "✓", RolledBack: "↩", Aborted: "✕",
};

/** A rollout's phase as a word with a mark: the colour only repeats it. */
export function pill(r) {
  const phase = r?.phase, waits = waitsForYou(r);
  const text = waits ? "Waits for you" : phase || "Idle";
  return h("span", { class: `pill ${waits ? "waits" : (phase || "idle").toLowerCase()}` },
    h("span", { "aria-hidden": "true" }, waits ? "⚑" : MARKS[phase] ?? "○"), ` ${text}`);
}

/**
 * Whether nothing but a person's approval is missing: what a person has paused
 * wants to be resumed first.
 */
export function waitsForYou(r) {
  return r?.phase === "Paused" && r.cause === "approval";
}

/**
 * A table of rows, whose cells are in the order of the headings. On a narrow screen
 * each row is a card and each cell says its heading, so that nothing is out of sight.
 */
export function table(label, headings, rows) {
  for (const row of rows) {
    row.setAttribute("role", "row");
    [...row.children].forEach((cell, k) => {
      cell.setAttribute("role", cell.tagName === "TH" ? "rowheader" : "cell");
      cell.dataset.label = headings[k];
    });
  }
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label },
    h("table", { role: "table" },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, headings.map((x) => h("th", { scope: "col", role: "columnheader" }, x)))),
      h("tbody", { role: "rowgroup" }, rows)));
}

/** A bar of shares that add up to one, with words beside it. */
export function bar(canary, label) {
  const width = Math.max(0, Math.min(1, canary)) * 100;
  return h("span", { class: "bar-row" },
    s("svg", { class: "bar", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
      s("rect", { class: "bar-stable", width: 100, height: 8 }),
      s("rect", { class: "bar-canary", width: width.toFixed(2), height: 8 })),
    h("span", { class: "bar-label" }, label));
}
