// Push-to-talk: the round button or the space bar, held; for those who cannot hold, a click switches it on and off.

export class Hold {
  #button;
  #active;
  #changed;
  #pressed = false;
  #clicked = null; // the control that a pointer was used on last: it has the focus, but nobody chose it for the keyboard

  /** @param {() => boolean} active  whether push-to-talk is in force  @param {(pressed: boolean) => void} changed */
  constructor(button, active, changed) {
    this.#button = button;
    this.#active = active;
    this.#changed = changed;
    button.addEventListener("pointerdown", (e) => this.#down(e));
    for (const type of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(type, () => this.release());
    button.addEventListener("contextmenu", (e) => this.#active() && e.preventDefault());
    button.addEventListener("click", (e) => this.#click(e));
    document.addEventListener("pointerdown", (e) => (this.#clicked = e.target.closest("button, summary")), true);
    document.addEventListener("keydown", (e) => this.#key(e, true));
    document.addEventListener("keyup", (e) => this.#key(e, false));
    window.addEventListener("blur", () => this.release());
  }

  get pressed() {
    return this.#pressed;
  }

  release() {
    this.#set(false);
  }

  #set(pressed) {
    if (pressed === this.#pressed) return;
    this.#pressed = pressed;
    this.#changed(pressed);
  }

  #down(event) {
    if (!this.#active() || event.button !== 0) return;
    this.#button.setPointerCapture(event.pointerId);
    this.#set(true);
  }

  /** A click without a pointer or key before it comes from a screen reader or a switch. */
  #click(event) {
    if (this.#active() && event.detail === 0 && event.pointerType === "") this.#set(!this.#pressed);
  }

  #key(event, down) {
    if (event.code === "Tab") this.#clicked = null;
    if (event.code !== "Space" || !this.#active() || this.#elsewhere(event.target)) return;
    event.preventDefault(); // neither a click of the button nor a scrolled page
    this.#set(down);
  }

  /** Whether the space bar means something else where the focus is. */
  #elsewhere(target) {
    if (target.closest("input, select, textarea, dialog")) return true;
    const control = target.closest("button, summary");
    return control !== null && control !== this.#button && control !== this.#clicked;
  }
}
