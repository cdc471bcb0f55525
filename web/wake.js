// Keeps the screen of a phone on during a call.

export class Wake {
  #wanted = false;
  #lock = null;

  constructor() {
    document.addEventListener("visibilitychange", () => this.#ask());
  }

  hold() {
    this.#wanted = true;
    return this.#ask();
  }

  release() {
    this.#wanted = false;
    this.#lock?.release();
    this.#lock = null;
  }

  /** The browser takes the lock away whenever the page is hidden. */
  async #ask() {
    if (!this.#wanted || document.visibilityState !== "visible" || !navigator.wakeLock) return;
    if (this.#lock && !this.#lock.released) return;
    try {
      const lock = await navigator.wakeLock.request("screen");
      if (this.#wanted) this.#lock = lock;
      else await lock.release();
    } catch (error) {
      console.info("voxrtc: the screen may go dark during the call:", error.message); // low battery, or not allowed
    }
  }
}
