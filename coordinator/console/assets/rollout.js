// @ts-check
// One rollout: where it stands, why, and what one may do about it.

import { chart, names } from "./chart.js";
import { confirm } from "./dialog.js";
import { bar, clock, h, micros, percent, pill, plural, share, span, table } from "./dom.js";
import { feed } from "./feed.js";

export const title = (id) => id;
export const wanted = (id) => ({ watch: [`rollout/${id}`, "hosts"], rollout: id, curve: id });

const LABELS = { promote: "Promote", promote_full: "Promote fully", pause: "Pause", resume: "Resume", abort: "Abort" };

let chosen = "";

export function render(page, id) {
  const d = page.view(`rollout/${id}`);
  if (!d) return page.waiting(`rollout/${id}`);
  return [
    head(d), verbs(page, d), steps(d, page.events), traffic(d),
    h("section", { key: "why", "aria-labelledby": "why-title" },
      h("h2", { id: "why-title" }, "Why"),
      h("p", { id: "explanation" }, explanation(page, d)),
      d.waiting && h("p", { class: "waiting" }, h("strong", null, "Now: "), d.waiting)),
    gates(d.verdict), charts(page, d), fleet(page, d), troubles(d),
    feed(page.events, page.draw, false, page.numbers),
  ];
}

function head(d) {
  const age = (d.ended || Date.now()) - d.started;
  return h("section", { class: "head", key: "head" },
    h("h1", null, d.id, " ", pill(d)),
    h("p", null, h("a", { href: `/s/${d.service}` }, d.service), `: ${d.from || "nothing"} → ${d.to}, by ${d.by || "somebody"}${d.reason ? ` (${d.reason})` : ""}${d.override ? `, although ${d.override}` : ""}, `,
      h("time", null, clock(d.started)), `, ${d.ended ? "took" : "for"} ${span(age)}`),
    h("p", { class: "quiet code" }, d.image),
    d.deadline_left ? h("p", { id: "deadline", class: "quiet" }, deadline(d)) : null);
}

/** What comes of a rollout that is not through in time. */
function deadline(d) {
  const left = span(d.deadline_left);
  if (d.phase === "RollingBack" || d.phase === "Promoting") return `Ends in ${left} at the latest, without hosts that have not followed by then.`;
  return `Goes back in ${left} if it is not through by then.`;
}

// --- what one may do

function verbs(page, d) {
  if (!d.verbs?.length) return h("p", { key: "verbs", class: "quiet" }, `${d.id} has ended. `, h("a", { href: `/s/${d.service}` }, "The history"), " has the way back to what ran before.");
  return h("section", { key: "verbs", class: "verbs", "aria-label": "What you may do" }, d.verbs.map((v) => verb(page, d, v)));
}

function verb(page, d, v) {
  const why = page.barred || v.why;
  const label = LABELS[v.name] ?? v.name;
  return h("div", { class: "verb", key: `verb-${v.name}` },
    h("button", {
      type: "button", "data-op": v.name, "aria-disabled": why ? "true" : "false", "aria-describedby": `why-${v.name}`, title: why || v.does,
      class: v.name === "abort" ? "danger" : "", onclick: why ? () => page.say(why, true) : () => ask(page, d, v, label),
    }, label),
    h("small", { id: `why-${v.name}`, class: why ? "why" : "does" }, why || v.does));
}

function ask(page, d, v, label) {
  const full = v.name === "promote_full";
  confirm({
    title: `${label} ${d.id}`, body: h("p", null, `This ${v.does}.`), label, danger: v.name === "abort" || full, needsReason: v.name === "abort" || full,
    act: (reason) => page.command(d.service, full ? "promote" : v.name, full ? { rollout: d.id, reason, full: true } : { rollout: d.id, reason }),
  });
}

// --- where it stands

const STATES = { done: "✓", now: "▶", ahead: "○" };

function steps(d, events) {
  return h("section", { key: "steps", "aria-labelledby": "steps-title" },
    h("h2", { id: "steps-title" }, "Steps"),
    h("ol", { class: "steps" }, d.path.map((x, k) => h("li", { class: x.state, "aria-current": x.state === "now" ? "step" : null },
      h("span", { class: "number" }, h("span", { "aria-hidden": "true" }, `${STATES[x.state] ?? ""} `), `${k + 1}`, h("span", { class: "hidden" }, `, ${x.state}`)),
      h("span", null, `${percent(x.weight)} on ${plural(x.hosts, "host")}`),
      h("small", null, [hold(x, d.hold_left), x.approve ? "then waits for a person" : ""].filter(Boolean).join(", ") || `${percent(x.share)} of the fleet`),
      verdict(d, k, events)))));
}

/**
 * What the gates came to in a step: by the decision that ended it, the last if there
 * were several, else what they say now. Nothing where they were not asked.
 */
function verdict(d, k, events) {
  const left = events.findLast(({ data: e }) => e.verdict &&
    (e.kind === "step" ? e.step === k + 2 : ["promoting", "rollingback", "paused"].includes(e.kind) && e.step === k + 1));
  const v = left?.data.verdict ?? (d.path[k].state === "now" ? d.verdict : null);
  if (!v) return null;
  const rate = (c) => c?.requests ? share(c.errors / c.requests) : "-";
  const first = v.findings?.[0]?.gate ?? v.gates?.[0]?.kind ?? "errors"; // whose counts these are
  const counts = first === "errors" && v.canary?.requests ? `: ${rate(v.canary)} of ${plural(v.canary.requests, "request")} failed, stable ${rate(v.stable)}` : "";
  return h("small", { class: `outcome ${v.outcome}` }, `${OUTCOMES[v.outcome] ?? v.outcome}${counts}`);
}

/** How long a step holds, and what is left of that. */
function hold(x, left) {
  if (!x.hold) return "";
  return x.state === "now" && left ? `${span(left)} left of ${span(x.hold)}` : `${span(x.hold)} at least`;
}

function traffic(d) {
  const wanted = d.weight * d.reached / Math.max(1, d.fleet) / 10000;
  const seen = d.verdict ? d.verdict.canary.requests + d.verdict.stable.requests : 0;
  return h("section", { key: "traffic", "aria-labelledby": "traffic-title" },
    h("h2", { id: "traffic-title" }, "Traffic"),
    h("dl", { class: "pairs" },
      h("dt", null, "wanted"), h("dd", null, bar(wanted, `${percent(d.weight)} on ${d.reached} of ${plural(d.fleet, "host")}: ${share(wanted)} of the fleet's`)),
      h("dt", null, "measured"), h("dd", null, seen > 0
        ? bar(d.verdict.canary.requests / seen, `${share(d.verdict.canary.requests / seen)} of ${seen} requests in this step went to ${d.to}`)
        : "no requests counted in this step")));
}

// --- why

/** Why it stands where it stands: of this moment while it runs, with what its decisions say once it has ended. */
function explanation(page, d) {
  const now = d.ended ? undefined : d.explanation;
  return (now ?? page.explained?.explanation ?? "…") + (page.explained?.incomplete ? ` (${page.explained.incomplete})` : "");
}

function gates(v) {
  if (!v?.gates?.length) return v ? h("p", { key: "gates" }, v.reason) : null;
  return h("section", { key: "gates", "aria-labelledby": "gates-title" },
    h("h2", { id: "gates-title" }, "Gates"),
    table("Gates", ["Gate", "State", "Canary", "Stable", "Allowed", "Evidence", "Says"], v.gates.map(gate)));
}

const OUTCOMES = { pass: "✓ passes", wait: "… waits", fail: "✕ fails", skip: "– no data" };

function gate(g) {
  const side = (counts, time, memory) => {
    if (time) return micros(time);
    if (memory) return `${Math.round(memory / 1048576)} MiB`;
    return counts?.requests ? `${share(counts.errors / counts.requests)} (${counts.errors} of ${counts.requests})` : "-";
  };
  const unit = g.kind === "latency" || g.kind === "saturation" ? "%" : " points";
  return h("tr", { key: `gate-${g.name}` },
    h("th", { scope: "row" }, g.name, g.observe ? " (observed)" : ""),
    h("td", { class: `outcome ${g.outcome}` }, OUTCOMES[g.outcome] ?? g.outcome),
    h("td", null, side(g.canary, g.canary_us, g.canary_memory)), h("td", null, side(g.stable, g.stable_us, g.stable_memory)),
    h("td", null, g.allowed_bp === undefined ? "-" : `+${+(g.allowed_bp / 100).toFixed(2)}${unit}`),
    h("td", null, g.evidence ? gauge(g) : "-"),
    h("td", { class: "text" }, g.reason));
}

/** How far the evidence has come to each of the two bounds that decide. */
function gauge(g) {
  const one = (word, value, limit) => {
    const part = limit > 0 ? Math.max(0, Math.min(1, value / limit)) : 0;
    return h("label", { class: "gauge" }, `${word} `, h("meter", { min: 0, max: 1, value: part.toFixed(3) }), ` ${Math.round(part * 100)}%`);
  };
  return [one("within", g.evidence.safe, g.evidence.safe_limit), one("beyond", g.evidence.fail, g.evidence.fail_limit),
    g.needed ? h("small", null, `about ${plural(g.needed, "more request")}`) : null];
}

function charts(page, d) {
  const all = names(page.curve);
  return h("section", { key: "charts", "aria-labelledby": "charts-title" },
    h("h2", { id: "charts-title" }, "Canary against stable"),
    all.length === 0
      ? h("p", { class: "quiet" }, d.from ? "No request has been compared yet." : "A first install has nothing to compare with.")
      : h("div", { class: "charts" }, all.map((name) => chart(name, page.curve))),
    all.length > 0 && h("p", { class: "quiet" }, "Bands hold with 95 % probability at all times at once if requests fail independently; they are a picture, the gates decide."));
}

// --- hosts

function fleet(page, d) {
  if (!d.hosts?.length) return null;
  const seen = new Map((page.view("hosts") ?? []).map((x) => [x.host, x]));
  const one = d.hosts.find((x) => x.host === chosen);
  return h("section", { key: "fleet", "aria-labelledby": "fleet-title" },
    h("h2", { id: "fleet-title" }, "Fleet"),
    h("div", { class: "fleet" }, d.hosts.map((x) => tile(page, x, seen.get(x.host)))),
    h("p", { class: "legend" }, "S stable · C canary · ! has a problem · … at work · dashed: silent"),
    h("div", { id: "host", "aria-live": "polite" }, one ? about(one, seen.get(one.host), d.service) : null));
}

function tile(page, x, seen) {
  const silent = !x.heard || seen && !seen.live;
  const letter = x.problem ? "!" : !x.settled ? "…" : x.weight > 0 ? "C" : "S";
  const words = [x.host, x.weight > 0 ? `canary has ${percent(x.weight)}` : "stable only", x.problem || (x.settled ? "ready" : x.doing || "at work"), silent ? "silent" : ""];
  return h("button", {
    type: "button", key: `tile-${x.host}`, class: `tile ${x.problem ? "bad" : x.weight > 0 ? "canary" : "stable"}${silent ? " silent" : ""}`,
    "aria-pressed": chosen === x.host ? "true" : "false", "aria-label": words.filter(Boolean).join(", "),
    onclick: () => { chosen = chosen === x.host ? "" : x.host; page.draw(); },
  }, h("b", null, letter), h("span", null, x.host), h("small", null, x.weight > 0 ? percent(x.weight) : " "));
}

function about(x, seen, service) {
  const on = seen?.services?.find((y) => y.service === service);
  const pairs = [
    ["host", x.host], ["doing", x.problem || x.doing || (x.settled ? "nothing: it is as it should be" : "at work")],
    ["weight of the canary", percent(x.weight)],
    ["stable", on ? `${on.stable_version || on.stable || "none"}: ${on.stable_ready ?? 0} ready` : "not known"],
    ["canary", on ? `${on.canary_version || on.canary || "none"}: ${on.canary_ready ?? 0} ready${on.deaths ? `, ${plural(on.deaths, "death")}` : ""}` : "not known"],
    ...(on?.death ? [["last death", on.death]] : []),
    ["last heard", seen ? `${span(seen.seen_ms)} ago` : "never"],
  ];
  return h("dl", { class: "pairs card" }, pairs.map(([k, v]) => [h("dt", null, k), h("dd", null, v)]));
}

function troubles(d) {
  const all = [...(d.excluded ?? []).map((x) => `without ${x.host}: ${x.why}`), ...(d.lost ?? []).map((x) => `without ${x}: it is silent`)];
  return all.length ? h("ul", { key: "troubles", class: "troubles" }, all.map((x) => h("li", null, x))) : null;
}
