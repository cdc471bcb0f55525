// The ring around the assistant: a few thin closed curves that swell with the sound. Drawn only while it can move.

const TURN = Math.PI * 2;
const STEPS = 120;
const CURVES = [
  { alpha: 0.9, width: 2.5, reach: 0.35, lobes: 3, speed: 0.9 },
  { alpha: 0.45, width: 2, reach: 0.65, lobes: 4, speed: -0.7 },
  { alpha: 0.22, width: 1.5, reach: 1, lobes: 5, speed: 0.5 },
];

export class Ring {
  #canvas;
  #level;
  #frame = 0;
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  /** @param {() => number} level  0 to 1, asked for once a frame */
  constructor(canvas, level) {
    this.#canvas = canvas;
    this.#level = level;
  }

  start() {
    if (!this.#frame) this.#frame = requestAnimationFrame((t) => this.#draw(t));
  }

  stop() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const pen = this.#canvas.getContext("2d");
    pen.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  #draw(time) {
    this.#frame = requestAnimationFrame((t) => this.#draw(t));
    const { canvas } = this.#fit();
    const pen = canvas.getContext("2d");
    const side = canvas.clientWidth;
    const rest = canvas.parentElement.clientWidth / 2 + 5; // just outside the button
    const room = side / 2 - rest - 3;
    const level = this.#level();
    pen.setTransform(canvas.width / side, 0, 0, canvas.height / side, 0, 0);
    pen.clearRect(0, 0, side, side);
    pen.translate(side / 2, side / 2);
    pen.strokeStyle = getComputedStyle(canvas).color;
    for (const curve of CURVES) this.#curve(pen, curve, { rest, room, level, seconds: time / 1000 });
  }

  #curve(pen, { alpha, width, reach, lobes, speed }, { rest, room, level, seconds }) {
    const swell = room * reach * level;
    const wave = this.#still.matches ? 0 : 0.3 * swell;
    pen.globalAlpha = alpha * (0.25 + 0.75 * level);
    pen.lineWidth = width;
    pen.beginPath();
    for (let i = 0; i <= STEPS; i++) {
      const angle = (i / STEPS) * TURN;
      const radius = rest + 0.7 * swell + wave * Math.sin(lobes * angle + seconds * speed * TURN * 0.5);
      pen.lineTo(radius * Math.cos(angle), radius * Math.sin(angle));
    }
    pen.closePath();
    pen.stroke();
  }

  /** As many pixels as the screen has under the canvas. */
  #fit() {
    const canvas = this.#canvas;
    const pixels = Math.round(canvas.clientWidth * devicePixelRatio);
    if (canvas.width !== pixels) canvas.width = canvas.height = pixels;
    return { canvas };
  }
}
