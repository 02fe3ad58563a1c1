// @ts-check
// One service: what has been rolled out, and the way back.

import { confirm } from "./dialog.js";
import { clock, h, percent, pill, span, table } from "./dom.js";
import { feed } from "./feed.js";
import { frozen } from "./freeze.js";

export const title = (service) => service;
export const wanted = (service) => ({ watch: [`history/${service}`, `service/${service}`], service });

export function render(page, service) {
  const all = page.view(`history/${service}`), now = page.view(`service/${service}`);
  if (!all || !now) return page.waiting(`history/${service}`);
  return [
    h("h1", null, service),
    frozen(now.frozen ?? []),
    h("p", null, all.stable ? `${all.stable.version} is stable on ${now.hosts} hosts.` : "Nothing is stable yet."),
    held(page, service, now.held ?? []),
    h("h2", null, "History"),
    table("History", ["Rollout", "Outcome", "From → to", "Started", "Took", "By", "Cause", "Way back"],
      all.rollouts.map((r) => row(page, r, all.no_return?.[r.id]))),
    feed(page.events, page.draw, true),
  ];
}

function row(page, r, impossible) {
  const why = page.barred || impossible;
  return h("tr", { key: `rollout-${r.id}` },
    h("th", { scope: "row" }, h("a", { href: `/r/${r.id}` }, r.id)), h("td", null, pill(r)),
    h("td", null, `${r.from || "nothing"} → ${r.to}`), h("td", null, clock(r.started)),
    h("td", null, r.ended ? span(r.ended - r.started) : "runs"), h("td", null, r.by || "-"),
    h("td", { class: "text" }, r.text || r.reason || "", r.override ? h("small", null, `although ${r.override}`) : null),
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
      h("p", null, `${d.from?.version ?? "nothing"} is replaced by ${d.to.version} (${r.id}). ${how(d.path)}`),
      d.changes?.length ? h("ul", { class: "diff", id: "diff" }, d.changes.map((x) => h("li", null, x))) : h("p", { id: "diff" }, "Nothing differs.")),
    label: "Roll back", danger: true, needsReason: true,
    act: (reason) => page.command(d.service, "rollback", { id: random(), to: r.id, reason }),
  });
}

/** What a return does, whose containers have to be started first: it goes in steps. */
function how(path) {
  const steps = (path ?? []).map((x) => `${percent(x.weight)} on ${x.hosts === 1 ? "1 host" : `${x.hosts} hosts`}${x.hold ? ` for ${span(x.hold)}` : ""}`);
  return `Its containers are started first, and then it gets the traffic in steps: ${steps.join(", ")}. Each waits until all hosts have taken it; no gate holds it up.`;
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
