// @ts-check
// All hosts as the leader sees them.

import { h, percent, span, table } from "./dom.js";

export const title = () => "Hosts";
export const wanted = () => ({ watch: ["hosts"], recent: 1 });

export function render(page) {
  const hosts = page.view("hosts");
  if (!hosts) return page.waiting("hosts");
  return [
    h("h1", null, "Hosts"),
    hosts.length === 0 && h("p", { class: "quiet" }, "No agent has reported yet."),
    hosts.length > 0 && table("Hosts", ["Host", "State", "Seen", "Services", "Agent", "Docker", "HAProxy", "Clock", "Labels"], hosts.map(row)),
  ];
}

function row(x) {
  const troubled = x.services?.some((y) => y.problem);
  const state = !x.live ? "✕ silent" : troubled ? "! has a problem" : "✓ live";
  return h("tr", { key: `host-${x.host}` },
    h("th", { scope: "row" }, x.host), h("td", { class: `outcome ${!x.live ? "fail" : troubled ? "wait" : "pass"}` }, state),
    h("td", null, `${span(x.seen_ms)} ago`),
    h("td", null, x.services?.length ? h("ul", { class: "plain" }, x.services.map(service)) : "none"),
    h("td", null, x.version || "-"), h("td", null, x.docker || "-"), h("td", null, x.haproxy || "-"),
    h("td", null, Math.abs(x.skew_ms) < 1000 ? "in time" : `${x.skew_ms > 0 ? "ahead" : "behind"} by ${span(Math.abs(x.skew_ms))}`),
    h("td", null, Object.entries(x.labels ?? {}).map(([k, v]) => `${k}=${v}`).join(" ") || "-"));
}

function service(y) {
  const parts = [`${y.stable_version || y.stable || "nothing"}, ${y.stable_ready} ready`];
  if (y.canary) parts.push(`canary ${y.canary_version || y.canary}, ${y.canary_ready} ready, ${percent(y.weight)}`);
  if (!y.settled) parts.push(y.doing || "at work");
  if (y.problem) parts.push(y.problem);
  return h("li", null, h("a", { href: `/s/${y.service}` }, y.service), `: ${parts.join("; ")}`, y.held ? h("span", { class: "badge" }, " held back") : null);
}
