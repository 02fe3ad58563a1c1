// @ts-check
// The first page: a row for each service, those on top that go on only when a
// person says so.

import { spark } from "./chart.js";
import { bar, h, percent, pill, share, table, waitsForYou } from "./dom.js";
import { feed } from "./feed.js";
import { frozen } from "./freeze.js";

export const title = () => "Overview";
export const wanted = () => ({ watch: ["services"], sparks: 1, recent: 200 });

let filter = "";

export function render(page) {
  const services = page.view("services");
  if (!services) return page.waiting();
  const rows = services.filter((x) => x.service.includes(filter)).sort((a, b) => rank(b) - rank(a) || a.service.localeCompare(b.service));
  return [
    h("h1", null, "Services"),
    frozen(services.flatMap((x) => x.frozen ?? [])),
    h("label", { class: "inline" }, "Filter ",
      h("input", { id: "filter", type: "search", value: filter, "aria-keyshortcuts": "/", placeholder: "press /", oninput: (e) => { filter = e.target.value; page.draw(); } })),
    rows.length === 0 && h("p", { class: "quiet" }, services.length ? "No service has this in its name." : "Nothing is installed yet: serin start rollout.yaml."),
    rows.length > 0 && table("Services", ["Service", "State", "Stable", "Rollout", "Step", "Traffic", "Errors", "Waits for"], rows.map((x) => row(page, x))),
    feed(page.events, page.draw, true),
  ];
}

/** What a person is wanted for comes first: an approval, then what stands still, then what runs. */
function rank(x) {
  if (!x.running) return 0;
  return waitsForYou(x.rollout) ? 3 : x.rollout?.phase === "Paused" ? 2 : 1;
}

function row(page, x) {
  const r = x.rollout;
  const now = x.running ? r : null;
  return h("tr", { key: `service-${x.service}` },
    h("th", { scope: "row" }, h("a", { href: `/s/${x.service}` }, x.service), x.held?.length ? h("span", { class: "badge" }, ` ${x.held.length} held back`) : null,
      x.frozen?.length ? h("span", { class: "badge" }, " frozen") : null),
    h("td", null, pill(r)),
    h("td", null, x.stable?.version ?? "nothing"),
    h("td", null, r ? h("a", { href: `/r/${r.id}` }, `${r.id}: ${r.from || "nothing"} → ${r.to}`) : "-"),
    h("td", null, now ? `${now.step} of ${now.steps}` : "-"),
    h("td", null, now ? bar(now.weight * now.reached / Math.max(1, now.fleet) / 10000, `${percent(now.weight)} on ${now.reached} of ${now.fleet} hosts`) : "-"),
    h("td", null, now ? errors(page.sparks[now.id], now.verdict) : "-"),
    h("td", { class: "text" }, now?.waiting ?? (x.next ? `next: ${x.next}` : "")));
}

/** How many requests of both versions have failed in this step, lately and now. */
function errors(points, verdict) {
  const one = (name, counts) => `${name} ${counts?.requests ? share(counts.errors / counts.requests) : "-"}`;
  return h("span", { class: "bar-row" }, points?.length > 1 && spark(points), h("span", { class: "bar-label" }, `${one("canary", verdict?.canary)}, ${one("stable", verdict?.stable)}`));
}

/** Puts the cursor into the filter. */
export function focusFilter() {
  document.getElementById("filter")?.focus();
}
