// @ts-check
// Questions before something is done, and what came of it.

import { h } from "./dom.js";

const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("dialog"));
const said = /** @type {HTMLElement} */ (document.getElementById("said"));
let fading = 0;

/** Says what has happened, for some seconds. */
export function say(text, bad) {
  said.textContent = text;
  said.className = bad ? "bad" : "good";
  clearTimeout(fading);
  fading = setTimeout(() => { said.textContent = ""; said.className = ""; }, 12_000);
}

/** Shows a text that one may copy. */
export function show(title, text) {
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    say("copied", false);
  };
  dialog.replaceChildren(h("form", { method: "dialog" },
    h("h2", { id: "dialog-title" }, title),
    h("pre", { tabindex: 0 }, text),
    h("div", { class: "buttons" },
      navigator.clipboard ? h("button", { type: "button", onclick: copy }, "Copy") : null,
      h("button", { type: "submit", class: "primary" }, "Close"))));
  dialog.showModal();
}

/**
 * Asks before a command: title, body (nodes), label of the button, whether a reason
 * is needed, and act(reason), which returns a Reply.
 */
export function confirm({ title, body, label, danger, needsReason, act }) {
  const reason = h("input", { id: "reason", name: "reason", autocomplete: "off", maxlength: 500, required: Boolean(needsReason) });
  const problem = h("p", { class: "problem", role: "alert" });
  const go = h("button", { type: "submit", class: danger ? "danger" : "primary" }, label);
  const submit = async (event) => {
    event.preventDefault();
    go.disabled = true;
    const reply = await act(reason.value.trim());
    go.disabled = false;
    if (reply.ok) {
      dialog.close();
      say(reply.unchanged ? `${title}: nothing to do` : `${title}: done`, false);
    } else {
      problem.textContent = reply.message || reply.code || "it was refused";
    }
  };
  dialog.replaceChildren(h("form", { onsubmit: submit },
    h("h2", { id: "dialog-title" }, title),
    body,
    h("label", { for: "reason" }, needsReason ? "Reason (needed, for the record)" : "Reason (for the record)"),
    reason, problem,
    h("div", { class: "buttons" },
      h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), go)));
  dialog.showModal();
  reason.focus();
}
