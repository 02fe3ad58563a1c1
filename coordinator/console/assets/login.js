// @ts-check
// The way in, where there are tokens.

import { h } from "./dom.js";

export const title = () => "Log in";
export const wanted = () => null;

export function render(page) {
  if (page.session.role) return [h("h1", null, "Log in"), h("p", null, `You are ${page.session.name}, ${page.session.role}.`)];
  if (!page.session.login) return [h("h1", null, "Log in"), h("p", null, page.session.refused || "There is no login here.")];
  const submit = async (event) => {
    event.preventDefault();
    const field = document.getElementById("token");
    const reply = await page.ask("login", { token: field.value.trim() });
    field.value = "";
    if (reply.ok) await page.begin();
    else page.say(reply.message || "not let in", true);
  };
  return [
    h("h1", null, "Log in"),
    page.session.refused && h("p", { class: "problem" }, page.session.refused),
    h("form", { class: "login", onsubmit: submit },
      h("label", { for: "token" }, "Token"),
      h("input", { id: "token", type: "password", autocomplete: "current-password", required: true, autofocus: true }),
      h("button", { type: "submit", class: "primary" }, "Log in")),
  ];
}
