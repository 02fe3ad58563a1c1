// @ts-check
// What keeps rollouts from beginning.

import { clock, h } from "./dom.js";

const FLEET = "_fleet";

/** Says of each freeze once what is frozen, by whom, until when and why; null without any. */
export function frozen(freezes) {
  const all = [...new Map(freezes.map((f) => [f.service, f])).values()];
  if (all.length === 0) return null;
  return h("div", { key: "frozen", class: "frozen", role: "status" }, all.map((f) => h("p", { "data-frozen": f.service }, h("strong", null, words(f)),
    `${f.reason ? `: ${f.reason}` : ""}. No rollout begins; what runs goes on, and the way back is open. `, h("code", null, f.service === FLEET ? "serin thaw" : `serin thaw ${f.service}`), " ends it.")));
}

function words(f) {
  return `${f.service === FLEET ? "The fleet" : f.service} is frozen by ${f.by}${f.until ? ` until ${clock(f.until)}` : ""}`;
}
