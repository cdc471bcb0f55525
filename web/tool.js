// One call of a function, as a small line in the conversation; what it was called with opens underneath.

const ENDS = { finished: "done in", failed: "failed after", "timed out": "no answer in", cancelled: "broken off after" };

export class ToolLine {
  item = document.createElement("li");
  #words = document.createElement("span");
  #outcome = document.createElement("span");

  /** @param call  a `tool_called` event */
  constructor({ name, arguments: given }) {
    this.item.className = "tool running";
    this.#words.append("Using ", Object.assign(document.createElement("code"), { textContent: name }), " … ");
    this.#words.append(this.#outcome);
    this.item.append(Object.keys(given ?? {}).length ? this.#opening(given) : this.#words);
  }

  get running() {
    return this.item.classList.contains("running");
  }

  /** @param {string} ended  as in `tool_ended`  @param {number} [took_ms] */
  end(ended, took_ms) {
    this.item.classList.remove("running");
    this.item.classList.toggle("failed", ended !== "finished");
    const seconds = took_ms === undefined ? "" : ` ${(took_ms / 1000).toFixed(1)} s`;
    this.#outcome.textContent = seconds ? (ENDS[ended] ?? `${ended} after`) + seconds : "broken off";
  }

  #opening(given) {
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.append(this.#words);
    details.append(summary, Object.assign(document.createElement("pre"), { textContent: JSON.stringify(given, null, 2) }));
    return details;
  }
}
