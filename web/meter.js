// How loud both sides are, 0 to 1, read whenever a picture is drawn.

const FLOOR_DB = -55;
const TOP_DB = -12;

export class Meter {
  #context;
  #ears = new Map();

  /** @param {AudioContext} context  owned, and closed, by the caller of this */
  constructor(context) {
    this.#context = context;
  }

  /** Measure `stream` as side "near" (the caller) or "far" (the assistant), in place of what was measured there. */
  listen(side, stream) {
    this.silence(side);
    const source = this.#context.createMediaStreamSource(stream);
    const analyser = this.#context.createAnalyser();
    analyser.fftSize = 1024;
    source.connect(analyser);
    this.#ears.set(side, { source, analyser, wave: new Float32Array(analyser.fftSize), level: 0 });
  }

  silence(side) {
    this.#ears.get(side)?.source.disconnect();
    this.#ears.delete(side);
  }

  /** The level of one side: quick to rise, slow to fall, on a scale of decibels. */
  level(side) {
    const ear = this.#ears.get(side);
    if (!ear) return 0;
    ear.analyser.getFloatTimeDomainData(ear.wave);
    const now = loudness(ear.wave);
    ear.level += (now - ear.level) * (now > ear.level ? 0.5 : 0.12);
    return ear.level;
  }

  close() {
    for (const side of [...this.#ears.keys()]) this.silence(side);
  }
}

/** Samples in [-1, 1] -> 0 (FLOOR_DB and below) to 1 (TOP_DB and above), by their RMS. */
export function loudness(wave) {
  const power = wave.reduce((sum, x) => sum + x * x, 0) / wave.length;
  const decibels = 10 * Math.log10(power + 1e-12);
  return Math.min(1, Math.max(0, (decibels - FLOOR_DB) / (TOP_DB - FLOOR_DB)));
}
