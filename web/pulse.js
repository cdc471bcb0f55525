// Whether anything still comes in. The server sends sound without a pause, so a line on which nothing comes is broken,
// long before the browser says so (Chromium takes some 7 s to call a connection "disconnected").

const LOOK_MS = 250;
const QUIET_LOOKS = 3; // looks, not time: a computer that slept has missed looks, not packets
const DEAD_LOOKS = 24;
const CHECK_MS = 400; // twenty packets

export class Pulse {
  #pc;
  #told;
  #timer = 0;
  #received = 0;
  #still = 0;
  #checking = false;
  #came = 0;

  /** @param {RTCPeerConnection} pc
   *  @param {(state: "quiet" | "dead" | "back") => void} told  nothing for 0.75 s, for 6 s, and something again */
  constructor(pc, told) {
    this.#pc = pc;
    this.#told = told;
  }

  get quiet() {
    return this.#still >= QUIET_LOOKS;
  }

  /** Milliseconds since something was last seen to have come. */
  get silence() {
    return performance.now() - this.#came;
  }

  start() {
    this.#came = performance.now();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = 0;
  }

  /** Do not wait for the next looks: something must come at once, or the line is quiet. */
  async check() {
    if (this.#checking || this.quiet || !this.#timer) return;
    this.#checking = true;
    const before = await receivedBy(this.#pc);
    await new Promise((resolve) => setTimeout(resolve, CHECK_MS));
    const after = await receivedBy(this.#pc);
    this.#checking = false;
    if (!this.#timer || after !== before || this.quiet) return;
    this.#received = after;
    this.#still = QUIET_LOOKS;
    this.#told("quiet");
  }

  async #look() {
    const received = await receivedBy(this.#pc);
    if (!this.#timer) return; // stopped meanwhile
    const came = received !== this.#received;
    const wasQuiet = this.quiet;
    this.#received = received;
    this.#still = came ? 0 : this.#still + 1;
    if (came) this.#came = performance.now();
    if (came && wasQuiet) this.#told("back");
    else if (this.#still === QUIET_LOOKS) this.#told("quiet");
    else if (this.#still === DEAD_LOOKS) this.#told("dead");
  }
}

/** A number that grows with every packet of sound or data; browsers differ in which of the two counts they keep. */
async function receivedBy(pc) {
  let sum = 0;
  for (const { type, packetsReceived = 0, bytesReceived = 0 } of (await pc.getStats()).values()) {
    if (type === "inbound-rtp") sum += packetsReceived;
    else if (type === "candidate-pair") sum += bytesReceived;
  }
  return sum;
}
