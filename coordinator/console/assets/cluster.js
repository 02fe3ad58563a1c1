// @ts-check
// The coordinator's replicas.

import { h, plural, span, table } from "./dom.js";

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
    table("Replicas", ["Replica", "Address", "Role", "Raft", "NATS", "Version", "This page"], c.members.map((m) => row(page, c, m))),
    h("p", { class: "quiet" }, "Replicas are added and removed on the command line: serin cluster."),
  ];
}

function row(page, c, m) {
  const s = m.standing;
  return h("tr", { key: `member-${m.id}` },
    h("th", { scope: "row" }, m.id), h("td", { class: "code" }, m.addr),
    h("td", null, m.leader ? "★ leader" : m.voter ? "follower" : "learner, without a vote"),
    h("td", { class: s ? "" : "outcome fail" }, s ? raft(c, s) : "✕ does not answer"),
    h("td", { class: s?.embedded && !s.streams ? "outcome fail" : "" }, s ? nats(s) : ""),
    h("td", null, s?.version ?? ""),
    h("td", null, m.id === page.replica ? "is served by it" : ""));
}

/** How far a replica is, and when it heard of its leader. */
function raft(c, s) {
  const behind = c.applied - s.applied;
  const heard = s.role === "leader" ? "leads" : s.contact_ms < 0 ? "has not heard of a leader" : `heard of the leader ${span(s.contact_ms)} ago`;
  return `entry ${s.applied}${behind > 0 ? `, ${behind} behind` : ""}; ${heard}`;
}

function nats(s) {
  const server = !s.embedded ? s.nats || "✕ not connected" : s.streams ? `✓ embedded, JetStream of ${plural(s.peers, "server")}` : "✕ embedded, JetStream has no leader";
  return server + (s.reconnects ? `; reconnected ${plural(s.reconnects, "time")}` : "");
}
