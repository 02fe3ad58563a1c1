// @ts-check
// The console: which page is shown, what it is shown from, and what it may do.
// All of it is loaded at once, so that it goes on when the replica is gone that it
// came from.

import { Replicas, Stream } from "./client.js";
import * as cluster from "./cluster.js";
import { say } from "./dialog.js";
import { h, morphChildren } from "./dom.js";
import * as history from "./history.js";
import * as hosts from "./hosts.js";
import * as login from "./login.js";
import * as overview from "./overview.js";
import * as rollout from "./rollout.js";

const MOST_EVENTS = 1000;
const DRAWING = 150; // ms between two drawings
const HIDDEN = 10_000; // after which a page that nobody sees ends its stream
const EXPLAINING = 10_000;

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const replicas = new Replicas();
let session = { role: "", login: false, read_only: "", refused: "", peers: [] };
let now = { page: /** @type {any} */ (overview), id: "" };
let stream = /** @type {Stream | null} */ (null);
let drawing = 0, explaining = 0, hiding = 0;
let live = { state: "", why: "" };

/** What the pages see of the rest. */
const page = {
  events: /** @type {any[]} */ ([]),
  curve: /** @type {any[]} */ ([]),
  sparks: /** @type {Record<string, number[][]>} */ ({}),
  explained: /** @type {{explanation: string, incomplete?: string} | undefined} */ (undefined),
  numbers: /** @type {Map<string, string[]>} */ (new Map()), // of the decisions of the rollout that is shown, by event
  replica: "",
  views: new Map(),
  get session() { return session; },
  /** Why no command can be given, whatever it is; empty if that is not so. */
  get barred() { return session.read_only || (live.state === "lost" ? "not connected: no replica would hear it" : ""); },
  say,
  draw: schedule,
  begin,
  ask: (path, body) => replicas.ask(path, body),
  command: (service, verb, body) => replicas.ask(`services/${service}/${verb}`, body),

  /** The data of a key that is watched; undefined until it is known. */
  view(key) {
    const answer = page.views.get(key)?.answer;
    return answer?.ok ? answer.data : undefined;
  },
  /** What stands there until then, or why it never will. */
  waiting(key) {
    const x = key ? page.views.get(key) : undefined;
    const text = x?.answer && !x.answer.ok ? x.answer.message : x?.trouble || "Asking the leader…";
    return [h("h1", null, now.page.title(now.id)), h("p", { class: "quiet" }, text)];
  },
};

// --- which page

const ROUTES = [
  [/^\/$/, overview], [/^\/r\/([a-z0-9_-]+)$/, rollout], [/^\/s\/([a-z0-9_-]+)$/, history],
  [/^\/hosts$/, hosts], [/^\/cluster$/, cluster], [/^\/login$/, login],
];

function route() {
  for (const [pattern, to] of ROUTES) {
    const match = /** @type {RegExp} */ (pattern).exec(location.pathname);
    if (match) return { page: to, id: match[1] ?? "" };
  }
  return { page: overview, id: "" };
}

/** Shows the page of the address, from the beginning. */
function open() {
  now = session.role ? route() : { page: login, id: "" };
  stream?.close();
  stream = null;
  Object.assign(page, { events: [], curve: [], sparks: {}, explained: undefined, numbers: new Map(), views: new Map() });
  document.title = `${now.page.title(now.id)} · serin`;
  connect();
  draw();
}

function connect() {
  const wanted = now.page.wanted(now.id);
  if (!wanted || stream) return;
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(wanted)) for (const one of [value].flat()) query.append(key, String(one));
  const mine = new Stream(replicas, query.toString(),
    (kind, id, data) => { if (stream === mine) hear(kind, id, data); },
    (state, why) => { if (stream === mine) tell(state, why); });
  stream = mine;
}

document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || link.origin !== location.origin || link.hash) return;
  event.preventDefault();
  window.history.pushState(null, "", link.pathname);
  open();
  main.focus();
  window.scrollTo(0, 0);
});
window.addEventListener("popstate", open);
document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
  if (event.key === "/" && !typing && now.page === overview) {
    event.preventDefault();
    overview.focusFilter();
  }
});
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(() => stream?.close(), HIDDEN);
  else if (stream?.ended) resume();
});

// A page that the browser keeps for the way back would hold its connection, of
// which there are six for an address.
window.addEventListener("pagehide", () => stream?.close());
window.addEventListener("pageshow", (event) => { if (event.persisted && stream?.ended) resume(); });

/** Goes on where a stream was ended because nobody looked. */
function resume() {
  const last = stream?.last ?? "";
  stream = null;
  connect();
  if (stream) stream.last = last;
}

// --- what comes

function hear(kind, id, data) {
  switch (kind) {
    case "hello":
      page.replica = data.replica;
      break;
    case "view":
      page.views.set(data.key, data);
      break;
    case "curve":
      page.curve = data.reset ? data.points : [...page.curve, ...data.points];
      break;
    case "sparks":
      page.sparks = data.rollouts;
      break;
    case "event":
      page.events.push(data);
      if (page.events.length > MOST_EVENTS) page.events.shift();
      explain(300);
      break;
  }
  schedule();
}

function tell(state, why) {
  live = { state, why };
  if (state === "open") explain(0);
  if (state === "refused") setTimeout(begin, 1000);
  schedule();
}

/** Reads the explanation of the rollout that is shown, soon, and again while it runs. */
function explain(soon) {
  if (now.page !== rollout) return;
  clearTimeout(explaining);
  explaining = setTimeout(async () => {
    if (now.page !== rollout) return; // somebody has left it
    const id = now.id;
    const reply = await replicas.ask(`rollouts/${id}/explain`);
    if (now.page !== rollout || now.id !== id) return;
    if (reply.ok) {
      page.explained = reply.data;
      page.numbers = new Map((reply.data.decisions ?? []).map((x) => [String(x.seq), x.numbers]));
    }
    schedule();
    if (!reply.ok || !reply.data.ended) explain(EXPLAINING);
  }, soon);
}

// --- how it looks

function schedule() {
  if (!drawing) drawing = setTimeout(() => { drawing = 0; draw(); }, DRAWING);
}

function draw() {
  const nodes = [now.page.render(page, now.id)].flat(9).filter((x) => x instanceof Node);
  morphChildren(main, nodes);
  main.dataset.page = location.pathname;
  main.dataset.ready = nodes.length > 2 ? "yes" : "no";
  for (const link of document.querySelectorAll("nav a:not(.brand)")) {
    if (link.getAttribute("href") === location.pathname) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  morphChildren(/** @type {HTMLElement} */ (document.getElementById("who")), who());
  banner();
  /** @type {HTMLElement} */ (document.getElementById("foot")).textContent = page.replica ? `served by ${page.replica} at ${new URL(replicas.origin).host}` : "";
}

function who() {
  if (!session.role) return [];
  const parts = [h("span", { class: "quiet" }, session.login ? `${session.name}, ${session.role}` : session.role === "operator" ? "operator" : "read-only")];
  if (session.login) {
    parts.push(h("button", { type: "button", class: "link", onclick: async () => { await replicas.ask("logout", {}); await begin(); } }, "Log out"));
  }
  return parts;
}

/** One line for what a person has to know of all they see. */
function banner() {
  const element = /** @type {HTMLElement} */ (document.getElementById("banner"));
  const trouble = [...page.views.values()].find((x) => x.trouble)?.trouble;
  let text = "";
  if (live.state === "lost" && stream) text = `Not connected: ${live.why}. Trying ${new URL(replicas.origin).host}; what you see is the last that is known.`;
  else if (live.state === "refused") text = live.why;
  else if (trouble) text = `${trouble}; what you see is the last that is known.`;
  element.textContent = text;
  element.dataset.state = live.state;
}

// --- the beginning

async function begin() {
  const said = await replicas.ask("session");
  if (said.code === "unreachable") {
    live = { state: "lost", why: said.message };
    banner();
    if (replicas.turn()) await new Promise((done) => setTimeout(done, 1000));
    setTimeout(begin, 0);
    return;
  }
  session = { role: "", read_only: "", ...said };
  replicas.learn(session);
  page.replica = session.replica;
  if (session.login && session.role && replicas.origin === location.origin) {
    replicas.token = (await replicas.ask("pass", {})).token ?? "";
  }
  live = { state: "", why: "" };
  open();
}

begin();
