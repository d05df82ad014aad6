// The JSON pages, asked for again and again: how old each is, and whether anybody answers at all.
const EVERY_MS = 2000;
const PATIENCE_MS = 6000;
const KEPT_MS = 20000;

export class Live {
  constructor(changed) {
    this.changed = changed;
    this.pages = new Map();
    this.wanted = new Map();
    this.base = "";
    this.timer = 0;
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.renew(); this.changed(); });
    window.addEventListener("online", () => this.renew());
  }

  start() {
    clearInterval(this.timer);
    this.timer = setInterval(() => this.step(), 500);
    this.step();
  }

  // Another node: nothing that is known of the last one says anything of it.
  at(base) {
    if (base === this.base) return;
    this.base = base;
    this.pages.clear();
  }

  // `wanted`: paths to the milliseconds between two questions. What is wanted no more is forgotten but for a while.
  want(wanted) {
    this.wanted = new Map(Object.entries(wanted));
    for (const [path, page] of this.pages) if (!this.wanted.has(path) && Date.now() - page.at > KEPT_MS) this.pages.delete(path);
    this.step();
  }

  get(path) { return this.pages.get(path) ?? EMPTY; }

  renew() {
    for (const page of this.pages.values()) page.asked = -Infinity;
    this.step();
  }

  step() {
    if (document.hidden) return;
    for (const [path, every] of this.wanted) {
      const page = this.pages.get(path) ?? { ...EMPTY };
      this.pages.set(path, page);
      if (!page.busy && performance.now() - page.asked >= (page.lost ? EVERY_MS : every)) this.ask(path, page);
    }
    this.changed();
  }

  async ask(path, page) {
    page.busy = true;
    page.asked = performance.now();
    const found = await answerOf(this.base + path);
    page.busy = false;
    if (this.pages.get(path) !== page) return;
    if (found.ok) Object.assign(page, { data: found.data, at: Date.now(), lost: false, status: found.status, error: "" });
    else Object.assign(page, { lost: found.lost, status: found.status, error: found.error, data: found.lost ? page.data : null });
    this.changed();
  }
}

const EMPTY = Object.freeze({ data: null, at: 0, asked: -Infinity, busy: false, lost: false, status: 0, error: "" });

// Never throws: `lost` says that nobody answered, `error` why not, in the words of who did.
export async function answerOf(path, body) {
  const how = { cache: "no-store", credentials: "same-origin", redirect: "error", signal: AbortSignal.timeout(PATIENCE_MS) };
  if (body !== undefined) {
    Object.assign(how, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  }
  let answer, data = null;
  try {
    answer = await fetch(path, how);
  } catch (error) {
    const words = error.name === "TimeoutError" ? `no answer within ${PATIENCE_MS / 1000} s` : "nobody answers";
    return { ok: false, lost: true, status: 0, error: words };
  }
  try { data = await answer.json(); } catch { /* told below */ }
  if (answer.ok && data !== null) return { ok: true, data, status: answer.status };
  const expected = answer.status === 403 && data?.expected ? `; who may: ${data.expected}` : "";
  const error = data?.error ? `${data.error}${expected}` : `an answer that is none (HTTP ${answer.status})`;
  return { ok: false, lost: answer.status === 502 || answer.status === 504 || data === null, status: answer.status, error, data };
}
