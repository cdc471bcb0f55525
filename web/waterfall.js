// Where the time of the last answers went, as small pictures and as a table.

const SVG = "http://www.w3.org/2000/svg";
const KEEP = 5;
const WIDTH = 84;
const HEIGHT = 20;
const LEAST_MS = 600; // the scale is never finer than this, so that quick answers look quick

/**
 * The stretches of one answer on the clock that starts when the caller's voice ends, in ms.
 * `noticed`: when the pause was seen, which is when work begins that is done ahead (speculation).
 */
export function stages(metrics, noticed) {
  const { endpoint_ms, asr_ms, first_token_ms, first_audio_ms, voice_to_voice_ms, speculated } = metrics;
  const worked = asr_ms + first_token_ms;
  const begun = Math.max(0, Math.min(speculated ? noticed : endpoint_ms, first_audio_ms - worked));
  const heard = Math.min(begun + asr_ms, first_audio_ms);
  const thought = Math.min(heard + first_token_ms, first_audio_ms);
  return {
    waited: [0, endpoint_ms],
    heard: [begun, heard],
    thought: [heard, thought],
    voiced: [thought, first_audio_ms],
    total: Math.max(voice_to_voice_ms, first_audio_ms),
  };
}

export class Waterfalls {
  #parts;
  #answers = [];
  #noticed = 0;
  #count = 0;

  /** @param parts  elements: section, pictures, detail, rows */
  constructor(parts) {
    this.#parts = parts;
  }

  /** `speech_paused`: `at` is when it was decided, `end` when the voice stopped, both in samples at 16 kHz. */
  paused({ at, end }) {
    this.#noticed = Math.max(0, (at - end) / 16);
  }

  /** `turn_metrics` */
  measured(metrics) {
    const { speculated } = metrics;
    this.#answers.push({ ...stages(metrics, this.#noticed), number: ++this.#count, speculated });
    this.#answers.splice(0, this.#answers.length - KEEP);
    this.#show();
  }

  clear() {
    this.#answers.length = 0;
    this.#count = 0;
    this.#show();
  }

  #show() {
    const { section, pictures, rows } = this.#parts;
    const scale = Math.max(LEAST_MS, ...this.#answers.map((a) => a.total));
    section.hidden = !this.#answers.length;
    pictures.replaceChildren(...this.#answers.map((answer) => this.#picture(answer, scale)));
    rows.replaceChildren(...this.#answers.map(row));
    if (this.#answers.length) this.#explain(this.#answers.at(-1));
  }

  #picture(answer, scale) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "waterfall";
    button.setAttribute("aria-label", sentence(answer));
    button.append(draw(answer, scale), Object.assign(document.createElement("span"), { textContent: ms(answer.total) }));
    for (const type of ["click", "pointerenter", "focus"]) button.addEventListener(type, () => this.#explain(answer));
    return button;
  }

  #explain(answer) {
    this.#parts.detail.textContent = sentence(answer);
  }
}

function draw(answer, scale) {
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, "aria-hidden": "true" });
  const x = (time) => (time / scale) * (WIDTH - 2);
  const bar = (stage, y) => {
    const [from, to] = answer[stage];
    return shape("rect", { class: stage, x: x(from), y, width: Math.max(x(to) - x(from), to > from ? 1 : 0), height: 6, rx: 1.5 });
  };
  svg.append(bar("waited", 3), bar("heard", 11), bar("thought", 11), bar("voiced", 11));
  svg.append(shape("line", { class: "first", x1: x(answer.total) + 1, x2: x(answer.total) + 1, y1: 1, y2: HEIGHT }));
  return svg;
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const ms = (time) => `${Math.round(time)} ms`;
const length = ([from, to]) => Math.max(0, Math.round(to - from));

function sentence(answer) {
  const { number, waited, heard, thought, voiced, total, speculated } = answer;
  const parts = `Waited ${length(waited)}, heard ${length(heard)}, thought ${length(thought)}, voiced ${length(voiced)} ms`;
  return `Answer ${number}: first sound after ${ms(total)}. ${parts}${speculated ? ", begun in your pause" : ""}.`;
}

function row({ number, waited, heard, thought, voiced, total }) {
  const line = document.createElement("tr");
  const head = Object.assign(document.createElement("th"), { scope: "row", textContent: number });
  const cells = [length(waited), length(heard), length(thought), length(voiced), Math.round(total)];
  line.append(head, ...cells.map((value) => Object.assign(document.createElement("td"), { textContent: value })));
  return line;
}
