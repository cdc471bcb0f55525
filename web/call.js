// One call as the caller knows it: it outlives its peers. When a peer is lost a new one takes up the same session.

import { Peer } from "./peer.js";
import * as server from "./server.js";
import { asProblem, endedProblem, Problem } from "./problems.js";

const GRACE_MS = 1_000; // for a silent line, when the server says that it is well
const RETRY_MS = [0, 500, 1_000, 2_000, 4_000, 8_000, 12_000]; // the server keeps a session for about 30 s
const KEEP = 20; // messages kept while there is no channel

/**
 * Events: `phase` (detail: "connecting" | "up" | "reconnecting"), `failed` (detail: {tried, of, problem}: one try to
 * reconnect came to nothing, another follows), `message` (detail: an event of the server),
 * `sound` (detail: MediaStream), `ended` (detail: a Problem, or null), `token` (a new resume token is known).
 */
export class Call extends EventTarget {
  #track;
  #peer = null;
  #resume;
  #session = null;
  #over = false;
  #kept = [];
  #started = false;
  #mending = false;
  #wake = null; // ends the wait between two tries
  #listening = new AbortController();

  /** @param {MediaStreamTrack} track  what the caller says; the call does not stop it, its owner does
   *  @param {string} [resume]  the token of a call that was cut off */
  constructor(track, resume) {
    super();
    this.#track = track;
    this.#resume = resume;
  }

  get token() {
    return this.#resume;
  }

  /** Connect for the first time. Throws Problem; the call is over then. */
  async start() {
    this.#emit("phase", "connecting");
    const { signal } = this.#listening;
    window.addEventListener("online", () => this.#networkChanged(), { signal });
    this.#watchNetworkType(signal);
    try {
      await this.#connect();
      this.#started = true;
    } catch (error) {
      if (this.#over) return;
      this.#finish();
      throw asProblem(error);
    }
  }

  /** Send one object to the server, or keep it (the last ones) until there is a channel. */
  send(message) {
    if (this.#over || this.#peer?.send(message)) return;
    this.#kept.push(message);
    this.#kept.splice(0, this.#kept.length - KEEP);
  }

  async setTrack(track) {
    this.#track = track;
    await this.#peer?.replaceTrack(track);
  }

  /** The caller has had enough: everything is closed at once, the server is told. */
  async hangUp() {
    if (this.#over) return;
    const session = this.#session;
    this.#finish();
    this.#emit("ended", null);
    if (!session) return;
    try {
      await server.hangUp(session);
    } catch (error) {
      // The server misses its peer by itself within seconds; there is nothing the caller could do.
      console.warn("voxrtc: the server was not told of the hang-up:", error.message);
    }
  }

  async #connect() {
    const peer = new Peer(await server.iceServers());
    if (this.#over) return peer.close();
    this.#peer = peer;
    peer.addEventListener("message", (e) => this.#message(e.detail));
    peer.addEventListener("sound", (e) => this.#emit("sound", e.detail));
    peer.addEventListener("quiet", () => this.#doubt(peer));
    peer.addEventListener("back", () => this.#emit("phase", "up"));
    peer.addEventListener("lost", () => this.#reconnect());
    const known = this.#session;
    try {
      await peer.open(this.#track, this.#resume);
    } finally {
      this.#session = peer.session ?? this.#session;
      this.#resume = peer.resume ?? this.#resume;
      if (peer.resume && !this.#over) this.#emit("token", peer.resume);
      // Hung up while the offer was under way: hangUp() could not know this session yet.
      if (this.#over && peer.session && peer.session !== known) await server.hangUp(peer.session);
    }
    this.#emit("phase", "up");
    this.#kept.splice(0).forEach((message) => this.send(message));
  }

  /** Nothing comes any more. Ask the server by another way: a line that it knows to be well is worth a moment more. */
  async #doubt(peer) {
    this.#emit("phase", "reconnecting");
    try {
      await server.readiness();
      await new Promise((resolve) => setTimeout(resolve, GRACE_MS));
    } catch (error) {
      console.info("voxrtc: the line is silent, and the server too:", error.detail || error.message);
    }
    if (peer.quiet) peer.lose();
  }

  async #reconnect() {
    if (this.#over || this.#mending) return;
    this.#mending = true;
    this.#emit("phase", "reconnecting");
    this.#peer?.close();
    let last = new Problem("lost");
    for (const [tried, delay] of RETRY_MS.entries()) {
      if (tried) this.#emit("failed", { tried, of: RETRY_MS.length, problem: last });
      await this.#pause(delay);
      if (this.#over) return;
      try {
        await this.#connect();
        this.#mending = false;
        if (!this.#over && !this.#peer.alive) this.#reconnect();
        return;
      } catch (error) {
        if (this.#over) return;
        last = asProblem(error);
        if (last.final) break;
      }
    }
    this.#finish();
    this.#emit("ended", last.final ? last : new Problem("lost", { detail: last.title, cause: last }));
  }

  /** Wait `ms`, or less if the network comes back or the call ends. */
  #pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #networkChanged() {
    if (this.#mending) this.#wake?.();
    else if (this.#started) this.#reconnect();
  }

  /** Phones tell when Wi-Fi becomes mobile; `change` alone also fires for mere estimates of speed. */
  #watchNetworkType(signal) {
    const link = navigator.connection;
    if (!link?.type) return;
    let type = link.type;
    const changed = () => {
      if (link.type === type) return;
      type = link.type;
      if (type !== "none") this.#networkChanged();
    };
    link.addEventListener("change", changed, { signal });
  }

  #message(event) {
    if (this.#over) return;
    this.#emit("message", event);
    if (event.type !== "call_ended") return;
    this.#finish();
    this.#emit("ended", endedProblem(event));
  }

  #finish() {
    this.#over = true;
    this.#listening.abort();
    this.#wake?.();
    this.#peer?.close();
    this.#kept.length = 0;
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
