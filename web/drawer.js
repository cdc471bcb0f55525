// The settings drawer: a form over Settings, filled with what this machine and this server offer.

import { devices } from "./microphone.js";

export class Drawer {
  #dialog;
  #form;
  #settings;
  #server = { languages: [], voices: {} };
  #defaults = {};

  constructor(dialog, settings) {
    this.#dialog = dialog;
    this.#form = dialog.querySelector("form");
    this.#settings = settings;
    this.#form.addEventListener("change", (e) => this.#chosen(e.target));
    dialog.addEventListener("click", (e) => e.target === dialog && dialog.close()); // on the backdrop
    navigator.mediaDevices?.addEventListener("devicechange", () => this.refreshDevices());
  }

  get open() {
    return this.#dialog.open;
  }

  async show() {
    this.#fill();
    this.#dialog.showModal();
    await this.refreshDevices();
  }

  /** What GET /ready said: languages, voices, and which models are at work. */
  offers({ languages = [], voices = {}, hears, thinks, speaks }) {
    this.#server = { languages, voices };
    const about = hears ? `Hears with ${hears}, thinks with ${thinks}, speaks with ${speaks}.` : "";
    this.#form.querySelector("#about").textContent = about;
    if (this.open) this.#fill();
  }

  /** What the call runs with where the caller chose nothing (`call_started`). */
  runsWith({ interruptions }) {
    this.#defaults = { interruptions };
    if (this.open) this.#fill();
  }

  /** Names of devices are only known once the microphone was allowed. */
  async refreshDevices() {
    const [microphones, speakers] = await Promise.all([devices("audioinput"), devices("audiooutput")]);
    options(this.#form.elements.microphone, [["", "Default microphone"], ...named(microphones)], this.#settings.get("microphone"));
    options(this.#form.elements.speaker, [["", "Default speaker"], ...named(speakers)], this.#settings.get("speaker"));
    const choosable = "setSinkId" in HTMLMediaElement.prototype && speakers.length > 0;
    this.#form.querySelector("#speaker-field").hidden = !choosable;
  }

  #fill() {
    const { elements } = this.#form;
    const names = new Intl.DisplayNames(["en"], { type: "language" });
    const languages = this.#server.languages.map((code) => [code, names.of(code)]);
    options(elements.language, [["", "As the server is set"], ["auto", "Follow what I speak"], ...languages], this.#settings.get("language"));
    options(elements.voice, [["", "Default voice"], ...this.#voices()], this.#settings.get("voice"));
    elements.interruptions.value = this.#settings.get("interruptions") || this.#defaults.interruptions || "on";
    elements.captions.value = this.#settings.get("captions");
    elements.announce.checked = this.#settings.get("announce");
  }

  /** The voices that speak the chosen language. */
  #voices() {
    const language = this.#settings.get("language");
    const speaks = ([, codes]) => !language || language === "auto" || codes.includes(language);
    return Object.entries(this.#server.voices).filter(speaks).map(([name]) => [name, name]);
  }

  #chosen({ name, type, value, checked }) {
    this.#settings.set(name, type === "checkbox" ? checked : value);
    if (name !== "language") return;
    const voice = this.#settings.get("voice");
    if (voice && !this.#voices().some(([known]) => known === voice)) this.#settings.set("voice", "");
    this.#fill();
  }
}

const named = (found) => found.filter((d) => d.id !== "default").map((d) => [d.id, d.label]);

/** Fill a select; a value that is no longer on offer stays chosen in the settings but shows as the first entry. */
function options(select, entries, value) {
  select.replaceChildren(...entries.map(([id, label]) => new Option(label, id)));
  select.value = entries.some(([id]) => id === value) ? value : "";
}
