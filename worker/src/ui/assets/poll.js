// Keeps something up to date. In: what loads it. Out: calls of it every few seconds while the page is seen and somebody
// is there, and what went wrong last. Never here: requests of a page that nobody looks at, which would keep a session
// from ending by itself.

const EVERY_MS = 5_000;
/** Without a key or a pointer for so long, nobody is there: shorter than the 30 minutes after which a session ends. */
const AWAY_MS = 15 * 60_000;

let lastInput = Date.now();
const wakers = new Set();
for (const name of ["pointerdown", "pointermove", "keydown", "wheel"]) {
  addEventListener(name, () => {
    const wasAway = Date.now() - lastInput >= AWAY_MS;
    lastInput = Date.now();
    if (wasAway) for (const wake of wakers) wake();
  }, { passive: true });
}
document.addEventListener("visibilitychange", () => {
  for (const wake of wakers) wake();
});

/** What keeps a page up to date. */
export class Poll {
  #load;
  #changed;
  #timer = 0;
  #running = false;
  #again = false;
  #stopped = false;
  #wake = () => void this.now();

  /** When it last loaded. @type {Date | null} */
  loadedAt = null;
  /** Why it could not load since. @type {Error | null} */
  problem = null;
  /** Whether it waits for somebody to come back. */
  paused = false;

  /** @param {() => Promise<void>} load @param {() => void} changed called after each try */
  constructor(load, changed) {
    this.#load = load;
    this.#changed = changed;
    wakers.add(this.#wake);
  }

  /** Loads now, and then again and again. */
  async now() {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    // A load that runs may have asked before what happened just now.
    this.#again = this.#running;
    if (this.#running) return;
    this.paused = Date.now() - lastInput >= AWAY_MS;
    if (document.hidden || this.paused) {
      this.#changed();
      return;
    }
    this.#running = true;
    try {
      await this.#load();
      this.loadedAt = new Date();
      this.problem = null;
    } catch (error) {
      this.problem = error;
    }
    this.#running = false;
    if (this.#stopped) return;
    this.#changed();
    if (this.#again) return this.now();
    this.#timer = setTimeout(this.#wake, EVERY_MS);
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    wakers.delete(this.#wake);
  }
}
