// @ts-check
// One service: what has been rolled out, and the way back.

import { confirm } from "./dialog.js";
import { clock, h, pill, span } from "./dom.js";
import { feed } from "./feed.js";

export const title = (service) => service;
export const wanted = (service) => ({ watch: [`history/${service}`, `service/${service}`], service });

export function render(page, service) {
  const all = page.view(`history/${service}`), now = page.view(`service/${service}`);
  if (!all || !now) return page.waiting(`history/${service}`);
  return [
    h("h1", null, service),
    h("p", null, all.stable ? `${all.stable.version} is stable on ${now.hosts} hosts.` : "Nothing is stable yet."),
    held(page, service, now.held ?? []),
    h("h2", null, "History"),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "History" }, h("table", null,
      h("thead", null, h("tr", null, ["Rollout", "Outcome", "From → to", "Started", "Took", "By", "Cause", "Way back"].map((x) => h("th", { scope: "col" }, x)))),
      h("tbody", null, all.rollouts.map((r) => row(page, r, all.no_return?.[r.id]))))),
    feed(page.events, page.draw, true),
  ];
}

function row(page, r, impossible) {
  const why = page.barred || impossible;
  return h("tr", { key: `rollout-${r.id}` },
    h("th", { scope: "row" }, h("a", { href: `/r/${r.id}` }, r.id)), h("td", null, pill(r.phase, false)),
    h("td", null, `${r.from || "nothing"} → ${r.to}`), h("td", null, clock(r.started)),
    h("td", null, r.ended ? span(r.ended - r.started) : "runs"), h("td", null, r.by || "-"),
    h("td", { class: "text" }, r.text || r.reason || ""),
    h("td", null,
      h("button", {
        type: "button", "data-op": "rollback", "data-to": r.id, "aria-disabled": why ? "true" : "false", "aria-describedby": `back-${r.id}`, title: why || "",
        onclick: why ? () => page.say(why, true) : () => goBack(page, r),
      }, "Roll back to this"),
      h("small", { id: `back-${r.id}`, class: "why" }, why || "")));
}

async function goBack(page, r) {
  const reply = await page.ask(`rollouts/${r.id}/diff`);
  if (!reply.ok) {
    page.say(reply.message || "the difference is not known", true);
    return;
  }
  const d = reply.data;
  confirm({
    title: `Roll ${d.service} back to ${d.to.version}`,
    body: h("div", null,
      h("p", null, `${d.from?.version ?? "nothing"} is replaced by ${d.to.version} (${r.id}) on all hosts, as fast as it can be. No gate holds it up.`),
      d.changes?.length ? h("ul", { class: "diff", id: "diff" }, d.changes.map((x) => h("li", null, x))) : h("p", { id: "diff" }, "Nothing differs.")),
    label: "Roll back", danger: true, needsReason: true,
    act: (reason) => page.command(d.service, "rollback", { id: random(), to: r.id, reason }),
  });
}

/** An id of its own for each click, so that a request that is sent twice counts once. */
function random() {
  return [...crypto.getRandomValues(new Uint32Array(3))].map((x) => x.toString(36)).join("-");
}

function held(page, service, hosts) {
  if (hosts.length === 0) return null;
  const why = page.barred;
  return h("section", { key: "held", "aria-labelledby": "held-title" },
    h("h2", { id: "held-title" }, "Held back"),
    h("ul", { class: "held" }, hosts.map((x) => h("li", { key: `held-${x.host}` },
      h("b", null, x.host), ` keeps ${x.version}${x.rollout ? ` since ${x.rollout} went on without it` : ""}${x.why ? `: ${x.why}` : ""} `,
      h("button", {
        type: "button", "data-op": "release", "data-host": x.host, "aria-disabled": why ? "true" : "false", title: why || "",
        onclick: why ? () => page.say(why, true) : () => confirm({
          title: `Release ${x.host}`, body: h("p", null, `${x.host} gets the stable version of ${service}.`), label: "Release",
          act: (reason) => page.command(service, "release", { host: x.host, reason }),
        }),
      }, "Release"), why ? h("small", { class: "why" }, ` ${why}`) : null))));
}
