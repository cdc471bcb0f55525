// The connection: in one line the way the sound takes and what gets lost of it, in the drawer all the figures.

import { pair } from "./tally.js";

const ROUTES = { direct: "Direct", relay: "Relayed", unknown: "Connected" };
const BLOCK_S = 0.02; // what `concealed` and `dropped` count

/** Follows `media_stats`; the line's loss is that of the time since the last report, the counts are since the call began. */
export class Link {
  #line;
  #route;
  #figures;
  #last = null;

  /** @param {{line: HTMLElement, route: HTMLElement, figures: HTMLDListElement}} parts */
  constructor({ line, route, figures }) {
    this.#line = line;
    this.#route = route;
    this.#figures = figures;
  }

  measured(stats) {
    const loss = percent(stats.lost - (this.#last?.lost ?? 0), stats.received - (this.#last?.received ?? 0));
    this.#last = stats;
    const route = ROUTES[stats.route] ?? ROUTES.unknown;
    const jitter = Object.assign(document.createElement("span"), { textContent: ` · ${ms(stats.jitter_ms)} jitter` });
    this.#line.replaceChildren(`${route} · ${loss} lost`, jitter);
    this.#line.hidden = false;
    this.#route.textContent = `${route}.`;
    this.#figures.replaceChildren(...rows(stats).map(pair));
  }

  clear() {
    this.#last = null;
    this.#line.hidden = true;
    this.#line.textContent = "";
    this.#route.textContent = "No call is up.";
    this.#figures.replaceChildren();
  }
}

/** What is told of a call, as pairs of name and value; what is not known is left out. */
function rows(stats) {
  const found = [
    ["Packets from you", stats.received],
    ["Lost, late", `${stats.lost} (${percent(stats.lost, stats.received)}), ${stats.late}`],
    ["Restored from the next packet", stats.recovered],
    ["Made up in place of the rest", seconds(stats.concealed)],
    ["Jitter, wait for a missing packet", `${ms(stats.jitter_ms)}, ${ms(stats.buffer_ms)}`],
  ];
  if (stats.dropped) found.push(["Not heard, the server was too busy", seconds(stats.dropped)]);
  if (known(stats.sent_lost_percent)) found.push(["Lost on the way to you", `${stats.sent_lost_percent.toFixed(1)} %`]);
  if (known(stats.rtt_ms)) found.push(["There and back", ms(stats.rtt_ms)]);
  if (known(stats.drift_ppm)) found.push(["Your clock", drift(stats.drift_ppm)]);
  return found;
}

function percent(lost, received) {
  const some = Math.max(0, lost);
  return `${((100 * some) / Math.max(1, received + some)).toFixed(1)} %`;
}

function drift(ppm) {
  const whole = Math.round(Math.abs(ppm));
  return whole ? `${whole} ppm ${ppm > 0 ? "fast" : "slow"}` : "as the server's";
}

const known = (value) => value !== null && value !== undefined;
const ms = (value) => `${Math.round(value)} ms`;
const seconds = (blocks) => `${(blocks * BLOCK_S).toFixed(1)} s`;
