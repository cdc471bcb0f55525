// Asks the server whether it is ready, until it is, and again after it was away.

import { readiness } from "./server.js";
import { asProblem } from "./problems.js";

const LOADING_MS = 1_000;
const GONE_MS = 3_000;

/** Events: `ready` and `loading` (detail: what /ready said), `gone` (detail: Problem). */
export class Readiness extends EventTarget {
  #timer = 0;
  #asking = null;

  /** Ask now, and go on asking until the server is ready. */
  async watch() {
    this.stop();
    const asking = new AbortController();
    this.#asking = asking;
    try {
      const said = await readiness(asking.signal);
      if (asking.signal.aborted) return;
      this.#emit(said.status === "ready" ? "ready" : "loading", said);
      if (said.status !== "ready") this.#later(LOADING_MS);
    } catch (error) {
      if (asking.signal.aborted) return;
      this.#emit("gone", asProblem(error));
      this.#later(GONE_MS);
    }
  }

  stop() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
  }

  #later(ms) {
    this.#timer = setTimeout(() => this.watch(), ms);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
