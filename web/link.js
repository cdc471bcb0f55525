// The connection in one line: the way the sound takes, and what gets lost of it.

const ROUTES = { direct: "Direct", relay: "Relayed", unknown: "Connected" };

/** Follows `media_stats`; loss is that of the time since the last report, the counts are since the call began. */
export class Link {
  #element;
  #detail;
  #last = null;

  /** @param {HTMLElement} element  for the one line  @param {HTMLElement} detail  for all the figures */
  constructor(element, detail) {
    this.#element = element;
    this.#detail = detail;
  }

  measured(stats) {
    const received = stats.received - (this.#last?.received ?? 0);
    const lost = Math.max(0, stats.lost - (this.#last?.lost ?? 0));
    const loss = (100 * lost) / Math.max(1, received + lost);
    this.#last = stats;
    const route = ROUTES[stats.route] ?? ROUTES.unknown;
    const jitter = Object.assign(document.createElement("span"), { textContent: ` · ${Math.round(stats.jitter_ms)} ms jitter` });
    this.#element.replaceChildren(`${route} · ${loss.toFixed(1)} % lost`, jitter);
    this.#detail.textContent = `${route}, ${Math.round(stats.jitter_ms)} ms jitter. `;
    this.#detail.textContent += `${stats.received} packets received, ${stats.lost} lost, ${stats.concealed} concealed, ${stats.late} late; ${Math.round(stats.buffer_ms)} ms buffered.`;
    this.#element.hidden = false;
  }

  clear() {
    this.#last = null;
    this.#element.hidden = true;
    this.#element.textContent = "";
    this.#detail.textContent = "No call is up.";
  }
}
