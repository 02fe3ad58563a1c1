// @ts-check
// How a page speaks to a replica, and to another when that one is away.

const SILENCE = 30_000; // a stream says something every 10 s
const LONGEST_PAUSE = 5_000;

/** Replicas knows where the console is served, and which one answers now. */
export class Replicas {
  constructor() {
    this.origins = [location.origin];
    this.at = 0;
    this.token = "";
  }

  /** Sets the other addresses, as the first answer named them. */
  learn(session) {
    this.origins = [location.origin, ...(session.peers ?? []).filter((peer) => peer !== location.origin)];
  }

  get origin() {
    return this.origins[this.at];
  }

  /** Turns to the next address; true if all have been tried since the first. */
  turn() {
    this.at = (this.at + 1) % this.origins.length;
    return this.at === 0;
  }

  /** Cookies are for our own origin; others know us by the token. */
  headers(more) {
    const all = { ...more };
    if (this.origin !== location.origin && this.token) all.Authorization = `Bearer ${this.token}`;
    return all;
  }

  /** Asks the replica that answers now; what it says is a Reply of the API in any case. */
  async ask(path, body) {
    const request = body === undefined
      ? { headers: this.headers({}) }
      : { method: "POST", body: JSON.stringify(body), headers: this.headers({ "Content-Type": "application/json" }) };
    try {
      const answer = await fetch(`${this.origin}/api/v1/${path}`, { ...request, cache: "no-store" });
      return await answer.json();
    } catch (error) {
      return { ok: false, code: "unreachable", message: `${this.origin} does not answer (${error instanceof Error ? error.message : error})` };
    }
  }
}

/**
 * Stream reads server-sent events. It remembers the last event's id, and whenever
 * the connection ends it goes on behind that one, here or at the next address.
 */
export class Stream {
  /** hear(kind, id, data) takes a frame; tell(state, why) hears "open", "lost" and "refused". */
  constructor(replicas, query, hear, tell) {
    this.replicas = replicas;
    this.query = query;
    this.hear = hear;
    this.tell = tell;
    this.last = "";
    this.ended = false;
    this.control = new AbortController();
    this.run();
  }

  close() {
    this.ended = true;
    this.control.abort();
  }

  async run() {
    let pause = 250;
    while (!this.ended) {
      let why = "the connection has ended";
      try {
        if (await this.read()) pause = 250;
      } catch (error) {
        why = error instanceof Error ? error.message : String(error);
      }
      if (this.ended) return;
      this.tell("lost", why);
      if (this.replicas.turn()) {
        await new Promise((done) => setTimeout(done, pause));
        pause = Math.min(LONGEST_PAUSE, pause * 2);
      }
    }
  }

  /** Reads one connection to its end; true if it said anything. */
  async read() {
    this.control = new AbortController();
    if (this.ended) return false;
    const headers = this.replicas.headers(this.last ? { "Last-Event-ID": this.last } : {});
    const patience = setTimeout(() => this.control.abort(), SILENCE);
    const answer = await fetch(`${this.replicas.origin}/api/v1/stream?${this.query}`, { headers, signal: this.control.signal, cache: "no-store" })
      .finally(() => clearTimeout(patience));
    if (!answer.ok || !answer.body) {
      const said = await answer.json().catch(() => ({}));
      if (answer.status === 401 || answer.status === 403) this.tell("refused", said.message ?? answer.statusText);
      throw new Error(said.message ?? answer.statusText);
    }
    this.tell("open", "");
    return await this.drain(answer.body.pipeThrough(new TextDecoderStream()).getReader());
  }

  async drain(reader) {
    let text = "", some = false;
    for (;;) {
      const watchdog = setTimeout(() => this.control.abort(), SILENCE);
      const { value, done } = await reader.read().finally(() => clearTimeout(watchdog));
      if (done || this.ended) return some;
      some = true;
      text += value;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        this.frame(text.slice(0, end));
        text = text.slice(end + 2);
      }
    }
  }

  frame(text) {
    let kind = "message", id = "", data = "";
    for (const line of text.split("\n")) {
      const colon = line.indexOf(":");
      const value = line.slice(colon + 1).replace(/^ /, "");
      if (line.startsWith("event:")) kind = value;
      else if (line.startsWith("id:")) id = value;
      else if (line.startsWith("data:")) data += value;
    }
    if (id && this.last && Number(id) <= Number(this.last)) return; // seen already
    if (id) this.last = id;
    if (data) this.hear(kind, id, JSON.parse(data));
  }
}
