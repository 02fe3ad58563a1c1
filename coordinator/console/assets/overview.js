// @ts-check
// The first page: a row for each service, those that wait for a person on top.

import { bar, h, percent, pill } from "./dom.js";
import { feed } from "./feed.js";

export const title = () => "Overview";
export const wanted = () => ({ watch: ["services"], recent: 200 });

let filter = "";

export function render(page) {
  const services = page.view("services");
  if (!services) return page.waiting();
  const rows = services.map((x) => ({ ...x, waits: Boolean(x.running && x.rollout?.needs_approval && x.rollout.phase === "Paused") }))
    .filter((x) => x.service.includes(filter))
    .sort((a, b) => Number(b.waits) - Number(a.waits) || Number(b.running) - Number(a.running) || a.service.localeCompare(b.service));
  return [
    h("h1", null, "Services"),
    h("label", { class: "inline" }, "Filter ",
      h("input", { id: "filter", type: "search", value: filter, "aria-keyshortcuts": "/", placeholder: "press /", oninput: (e) => { filter = e.target.value; page.draw(); } })),
    rows.length === 0 && h("p", { class: "quiet" }, services.length ? "No service has this in its name." : "Nothing is installed yet: serin start rollout.yaml."),
    rows.length > 0 && h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Services" }, h("table", null,
      h("thead", null, h("tr", null, ["Service", "State", "Stable", "Rollout", "Step", "Traffic", "Waits for"].map((x) => h("th", { scope: "col" }, x)))),
      h("tbody", null, rows.map(row)))),
    feed(page.events, page.draw, true),
  ];
}

function row(x) {
  const r = x.rollout;
  const now = x.running ? r : null;
  return h("tr", { key: `service-${x.service}` },
    h("th", { scope: "row" }, h("a", { href: `/s/${x.service}` }, x.service), x.held?.length ? h("span", { class: "badge" }, ` ${x.held.length} held back`) : null),
    h("td", null, pill(r?.phase, x.waits)),
    h("td", null, x.stable?.version ?? "nothing"),
    h("td", null, r ? h("a", { href: `/r/${r.id}` }, `${r.id}: ${r.from || "nothing"} → ${r.to}`) : "-"),
    h("td", null, now ? `${now.step} of ${now.steps}` : "-"),
    h("td", null, now ? bar(now.weight * now.reached / Math.max(1, now.fleet) / 10000, `${percent(now.weight)} on ${now.reached} of ${now.fleet} hosts`) : "-"),
    h("td", { class: "text" }, now?.waiting ?? (x.next ? `next: ${x.next}` : "")));
}

/** Puts the cursor into the filter. */
export function focusFilter() {
  document.getElementById("filter")?.focus();
}

