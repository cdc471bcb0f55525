// What the caller chose, kept in this browser. An empty string means: as the server has it.

const KEY = "voxrtc.settings";
const DEFAULTS = { microphone: "", speaker: "", interruptions: "", language: "", voice: "", captions: "normal", announce: true };

/** Emits `change` (detail: the key) after the new value is kept. */
export class Settings extends EventTarget {
  #values = { ...DEFAULTS, ...read() };

  get(key) {
    return this.#values[key];
  }

  set(key, value) {
    if (!(key in DEFAULTS)) throw new TypeError(`there is no setting ${key}`);
    if (this.#values[key] === value) return;
    this.#values[key] = value;
    write(this.#values);
    this.dispatchEvent(new CustomEvent("change", { detail: key }));
  }

  /** The part that the server has to know, without what was left to it. */
  forServer() {
    const chosen = ["language", "voice", "interruptions"].filter((key) => this.#values[key]);
    return Object.fromEntries(chosen.map((key) => [key, this.#values[key]]));
  }
}

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return Object.fromEntries(Object.entries(kept).filter(([key, value]) => typeof value === typeof DEFAULTS[key]));
  } catch (error) {
    console.info("voxrtc: the settings kept in this browser cannot be read:", error.message);
    return {};
  }
}

function write(values) {
  try {
    localStorage.setItem(KEY, JSON.stringify(values));
  } catch (error) {
    console.info("voxrtc: this browser keeps no settings:", error.message); // they hold until the page is closed
  }
}
