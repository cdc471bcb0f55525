// Where the time of the last answers went, as small pictures and as a table.

const SVG = "http://www.w3.org/2000/svg";
const KEEP = 5;
const WIDTH = 84;
const HEIGHT = 20;
const ROWS = [
  ["End of turn", (m) => Math.round(m.endpoint_ms)],
  ["Transcript", (m) => Math.round(m.asr_ms)],
  ["First token", (m) => Math.round(m.first_token_ms)],
  ["First audio", (m) => Math.round(m.first_audio_ms)],
  ["Voice to voice", (m) => Math.round(m.voice_to_voice_ms)],
  ["Begun in your pause", (m) => (m.speculated ? "yes" : "no")],
];
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
  #chosen;
  #answers = [];
  #noticed = 0;
  #count = 0;

  /** @param parts  elements: pictures, section, legend, table  @param {() => void} chosen  a picture was pressed */
  constructor(parts, chosen) {
    this.#parts = parts;
    this.#chosen = chosen;
  }

  /** `speech_paused`: `at` is when it was decided, `end` when the voice stopped, both in samples at 16 kHz. */
  paused({ at, end }) {
    this.#noticed = Math.max(0, (at - end) / 16);
  }

  /** `turn_metrics` */
  measured(metrics) {
    this.#answers.push({ ...stages(metrics, this.#noticed), metrics, number: ++this.#count });
    this.#answers.splice(0, this.#answers.length - KEEP);
    this.#show();
  }

  clear() {
    this.#answers.length = 0;
    this.#count = 0;
    this.#show();
  }

  #show() {
    const { pictures, section, legend, table } = this.#parts;
    const scale = Math.max(LEAST_MS, ...this.#answers.map((a) => a.total));
    section.hidden = !this.#answers.length;
    pictures.replaceChildren(...this.#answers.map((answer) => this.#picture(answer, scale)));
    const body = document.createElement("tbody");
    body.append(...ROWS.map((row) => figures(row, this.#answers)));
    table.replaceChildren(heads(this.#answers), body);
    legend.textContent = this.#answers.length ? sentence(this.#answers.at(-1)) : "";
  }

  #picture(answer, scale) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "waterfall";
    button.title = sentence(answer);
    button.setAttribute("aria-label", sentence(answer));
    button.append(draw(answer, scale), Object.assign(document.createElement("span"), { textContent: ms(answer.total) }));
    button.addEventListener("click", this.#chosen);
    return button;
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
  const { number, waited, heard, thought, voiced, total, metrics } = answer;
  const parts = `Waited ${length(waited)}, heard ${length(heard)}, thought ${length(thought)}, voiced ${length(voiced)} ms`;
  return `Answer ${number}: first sound after ${ms(total)}. ${parts}${metrics.speculated ? ", begun in your pause" : ""}.`;
}

/** One column an answer, the newest last. */
function heads(answers) {
  const head = document.createElement("thead");
  const row = document.createElement("tr");
  row.append(cell("th", "Answer", "col"), ...answers.map(({ number }) => cell("th", number, "col")));
  head.append(row);
  return head;
}

function figures([name, read], answers) {
  const row = document.createElement("tr");
  row.append(cell("th", name, "row"), ...answers.map(({ metrics }) => cell("td", read(metrics))));
  return row;
}

function cell(name, text, scope) {
  const made = Object.assign(document.createElement(name), { textContent: text });
  if (scope) made.scope = scope;
  return made;
}
