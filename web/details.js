// How the call goes, in figures: the strip under the conversation, and the drawer behind it.

import { Link } from "./link.js";
import { Tally } from "./tally.js";
import { Waterfalls } from "./waterfall.js";

export class Details {
  #dialog;
  #strip;
  #link;
  #tally;
  #waterfalls;

  /** @param {HTMLElement} strip  @param {HTMLDialogElement} dialog */
  constructor(strip, dialog) {
    this.#strip = strip;
    this.#dialog = dialog;
    const part = (id) => document.getElementById(id);
    this.#link = new Link({ line: part("link"), route: part("link-detail"), figures: part("link-figures") });
    this.#tally = new Tally(part("counts"));
    this.#waterfalls = new Waterfalls({
      pictures: part("waterfalls"), section: part("timing"), legend: part("timing-detail"), table: part("timing-table"),
    }, () => this.show());
    part("open-details").addEventListener("click", () => this.show());
    dialog.addEventListener("click", (e) => e.target === dialog && dialog.close()); // on the backdrop
  }

  /** @param events  an Events, to show what it brings */
  follow(events) {
    this.#tally.follow(events);
    events.on("speech_paused", (event) => this.#waterfalls.paused(event));
    events.on("turn_metrics", (event) => this.#seen(() => this.#waterfalls.measured(event)));
    events.on("media_stats", (event) => this.#seen(() => this.#link.measured(event)));
  }

  show() {
    this.#dialog.showModal();
  }

  /** The call is over: its line is gone, its figures stay to be looked at. */
  ended() {
    this.#link.clear();
  }

  clear() {
    this.#waterfalls.clear();
    this.#tally.clear();
    this.#link.clear();
    this.#strip.hidden = true;
  }

  #seen(show) {
    this.#strip.hidden = false;
    show();
  }
}
