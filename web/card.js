// The one place where a problem is shown: what happened, what to do next, and the buttons to do it with.

import { ACTIONS } from "./problems.js";

export class Card {
  #element;
  #act;
  #problem = null;

  /** @param {HTMLElement} element  an empty role=alert  @param {(action: string) => void} act */
  constructor(element, act) {
    this.#element = element;
    this.#act = act;
  }

  get code() {
    return this.#problem?.code ?? null;
  }

  show(problem) {
    if (this.code === problem.code && this.#problem.detail === problem.detail) return; // said once is enough
    this.#problem = problem;
    const title = Object.assign(document.createElement("h2"), { textContent: problem.title });
    const text = Object.assign(document.createElement("p"), { textContent: problem.message });
    const parts = [title, text];
    if (problem.detail) parts.push(Object.assign(document.createElement("p"), { className: "detail", textContent: problem.detail }));
    if (problem.actions.length) parts.push(this.#buttons(problem.actions));
    this.#element.dataset.code = problem.code;
    this.#element.hidden = false;
    this.#element.replaceChildren(...parts);
    if (problem.cause) console.info(`voxrtc: ${problem.code}:`, problem.cause);
  }

  /** Take it away; only if it is `code`, where that is given. */
  clear(code) {
    if (code && this.code !== code) return;
    this.#problem = null;
    this.#element.hidden = true;
    this.#element.replaceChildren();
  }

  #buttons(actions) {
    const row = Object.assign(document.createElement("div"), { className: "controls" });
    for (const action of actions) {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "pill", textContent: ACTIONS[action] });
      button.addEventListener("click", () => this.#act(action));
      row.append(button);
    }
    return row;
  }
}
