// @ts-check
// The feed of events.

import { show } from "./dialog.js";
import { clock, h } from "./dom.js";

const MARKS = {
  submitted: "+", step: "▶", approved: "✓", paused: "❚❚", resumed: "▶", renewed: "↻", excluded: "!", released: "○", lost: "!",
  promoting: "▲", frozen: "❄", thawed: "○", rollingback: "◀", succeeded: "✓", rolledback: "↩", aborted: "✕", refused: "✕", unchanged: "=",
};

let kind = "";

/**
 * Shows events, the newest first; draw draws the page again. numbers has the lines that
 * belong below an event, by its id.
 */
export function feed(events, draw, link, numbers = new Map()) {
  const kinds = [...new Set(events.map((e) => e.data.kind))].sort();
  const only = kinds.includes(kind) ? kind : ""; // another page may have other kinds
  const shown = events.filter((e) => !only || e.data.kind === only).toReversed();
  return h("section", { class: "feed", "aria-labelledby": "feed-title", key: "feed" },
    h("h2", { id: "feed-title" }, "Events"),
    h("label", { class: "inline" }, "Kind ",
      h("select", { id: "kind", onchange: (event) => { kind = event.target.value; draw(); } },
        h("option", { value: "" }, "all"), kinds.map((k) => h("option", { value: k, selected: k === only }, k)))),
    h("ol", { role: "log", "aria-label": "Events, the newest first" }, shown.map((e) => item(e, link, numbers.get(e.id)))),
    shown.length === 0 && h("p", { class: "quiet" }, "Nothing has happened yet."));
}

function item(e, link, numbers) {
  const d = e.data;
  return h("li", { key: `event-${e.id}`, "data-seq": e.id },
    h("time", { datetime: e.time }, clock(Date.parse(e.time))),
    h("span", { class: `kind ${d.kind}` }, h("span", { "aria-hidden": "true" }, MARKS[d.kind] ?? "·"), ` ${d.kind}`),
    h("span", { class: "text" },
      link && d.rollout ? h("a", { href: `/r/${d.rollout}` }, d.rollout) : null, link && d.rollout ? " " : null,
      h("span", { class: "said" }, d.text), d.by && d.by !== "serin" ? ` (${d.by})` : "",
      numbers?.length > 0 && h("ul", { class: "numbers" }, numbers.map((x) => h("li", null, x)))),
    h("button", { type: "button", class: "link", "aria-label": `Event ${e.id} as JSON`, onclick: () => show(`Event ${e.id}`, JSON.stringify(e, null, 1)) }, "JSON"));
}
