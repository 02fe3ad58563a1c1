// @ts-check
// The coordinator's replicas.

import { h, table } from "./dom.js";

export const title = () => "Cluster";
export const wanted = () => ({ watch: ["cluster"], recent: 1 });

export function render(page) {
  const c = page.view("cluster");
  if (!c) return page.waiting("cluster");
  const pairs = [
    ["leader", c.leader], ["term", c.term], ["applied", `entry ${c.applied}${c.commit ? ` of ${c.commit}` : ""}`],
    ["events", `${c.events}${c.outbox ? `, of which ${c.outbox} are not in the stream yet` : ""}`],
    ["live hosts", c.hosts], ["reports dropped", c.dropped_reports],
  ];
  return [
    h("h1", null, "Cluster"),
    h("dl", { class: "pairs card" }, pairs.map(([k, v]) => [h("dt", null, k), h("dd", null, String(v))])),
    table("Replicas", ["Replica", "Address", "Role", "This page"], c.members.map((m) => h("tr", { key: `member-${m.id}` },
      h("th", { scope: "row" }, m.id), h("td", { class: "code" }, m.addr),
      h("td", null, m.leader ? "★ leader" : m.voter ? "follower" : "learner, without a vote"),
      h("td", null, m.id === page.replica ? "is served by it" : "")))),
    h("p", { class: "quiet" }, "Replicas are added and removed on the command line: serin cluster."),
  ];
}
