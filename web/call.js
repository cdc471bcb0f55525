// One call as the caller knows it: it outlives its peers. When the network changes or a line is lost, a new peer takes
// up the same session; as long as the old one still works, it goes on until the new one is up.

import { Peer } from "./peer.js";
import * as server from "./server.js";
import { asProblem, endedProblem, Problem } from "./problems.js";

const GRACE_MS = 250; // for a silent line, when the server says that it is well
const RETRY_MS = [0, 500, 1_000, 2_000, 4_000, 8_000, 12_000]; // the server keeps a session for about 30 s
const KEEP = 20; // messages kept while there is no channel

/**
 * Events: `phase` (detail: "connecting" | "up" | "reconnecting"), `failed` (detail: {tried, of, problem}: one try to
 * reconnect came to nothing, another follows), `message` (detail: an event of the server),
 * `sound` (detail: MediaStream), `ended` (detail: a Problem, or null), `token` (a new resume token is known).
 */
export class Call extends EventTarget {
  #track;
  #peer = null; // that carries the call
  #next = null; // that is being opened
  #resume;
  #session = null;
  #over = false;
  #kept = [];
  #started = false;
  #mending = false;
  #changed = false; // the network, while a peer was being opened in the old one
  #moving = false; // a working line too is to be left: its network is going
  #phase = null;
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
    this.#turn("connecting");
    this.#watchNetwork();
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
    await Promise.all([this.#peer?.replaceTrack(track), this.#next?.replaceTrack(track)]);
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

  /** Open a peer; once it is up it carries the call, and the old one is let go of. */
  async #connect() {
    const peer = new Peer(await server.iceServers());
    if (this.#over) return peer.close();
    this.#next = peer;
    this.#listen(peer);
    const known = this.#session;
    try {
      await peer.open(this.#track, this.#resume, this.#peer?.silence);
    } finally {
      if (this.#next === peer) this.#next = null;
      this.#session = peer.session ?? this.#session;
      this.#resume = peer.resume ?? this.#resume;
      if (peer.resume && !this.#over) this.#emit("token", peer.resume);
      // Hung up while the offer was under way: hangUp() could not know this session yet.
      if (this.#over && peer.session && peer.session !== known) await server.hangUp(peer.session);
    }
    const old = this.#peer;
    this.#peer = peer;
    old?.retire();
    this.#turn("up");
    this.#kept.splice(0).forEach((message) => this.send(message));
  }

  #listen(peer) {
    const carries = () => peer === this.#peer;
    peer.addEventListener("message", (e) => {
      if (e.detail.type !== "call_moved") this.#message(e.detail);
      else if (carries()) this.#moved(peer);
    });
    peer.addEventListener("sound", (e) => this.#emit("sound", e.detail));
    peer.addEventListener("quiet", () => carries() && this.#doubt(peer));
    peer.addEventListener("back", () => carries() && this.#turn("up"));
    peer.addEventListener("lost", () => {
      // The server closes the old line as soon as it has the new one: not worth a word.
      if (carries() && !this.#next?.connected) this.#mend("reconnecting");
    });
  }

  /** Nothing comes any more. Ask the server by another way: a line that it knows to be well is worth a moment more. */
  async #doubt(peer) {
    this.#turn("reconnecting");
    try {
      await server.readiness();
      await new Promise((resolve) => setTimeout(resolve, GRACE_MS));
    } catch (error) {
      console.info("voxrtc: the line is silent, and the server too:", error.detail || error.message);
    }
    if (peer.quiet && peer === this.#peer) this.#mend();
  }

  /** Get the call onto a new peer, however many tries that takes. `phase`: what the caller is told meanwhile. */
  async #mend(phase) {
    if (this.#over) return;
    if (phase) this.#turn(phase);
    if (this.#mending) return;
    this.#mending = true;
    const problem = await this.#tryAll();
    this.#mending = this.#moving = false;
    if (this.#over) return;
    if (!problem) {
      if (!this.#peer.alive) this.#mend("reconnecting"); // lost again meanwhile
      return;
    }
    this.#finish();
    this.#emit("ended", problem.final ? problem : new Problem("lost", { detail: problem.title, cause: problem }));
  }

  /** Returns what the last try came to: null when the call is up again, or over. */
  async #tryAll() {
    let last = new Problem("lost");
    for (let tried = 0; tried < RETRY_MS.length; tried++) {
      if (tried && !this.#working) this.#emit("failed", { tried, of: RETRY_MS.length, problem: last });
      await this.#pause(this.#changed ? 0 : RETRY_MS[tried]);
      if (this.#over || (tried && this.#working && !this.#moving)) return null; // the old line has come back
      this.#changed = false;
      try {
        await this.#connect();
        return null;
      } catch (error) {
        if (this.#over) return null;
        if (this.#changed) tried = -1; // not a failure: begin again on the new network
        else last = asProblem(error);
      }
      if (!this.#working) this.#turn("reconnecting");
      if (tried >= 0 && last.final) break; // "lost", with which it begins, is no answer yet
    }
    return this.#over || this.#working ? null : last;
  }

  /** Whether the line that there is carries sound. */
  get #working() {
    return this.#peer !== null && this.#peer.alive && !this.#peer.quiet;
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

  // -- the network ------------------------------------------------------------------------------------------

  #watchNetwork() {
    const { signal } = this.#listening;
    const look = () => this.#peer?.check();
    window.addEventListener("online", () => this.#networkChanged(), { signal });
    window.addEventListener("offline", look, { signal });
    // A phone that shows the page again may have been elsewhere meanwhile, and its timers stood still.
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && look(), { signal });
    document.addEventListener("resume", look, { signal });
    window.addEventListener("pageshow", (e) => e.persisted && look(), { signal });
    this.#watchNetworkType(signal);
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

  #networkChanged() {
    if (!this.#started) return;
    this.#moving = true;
    if (!this.#mending) return this.#mend();
    this.#changed = true;
    this.#next?.close();
    this.#wake?.();
  }

  // -- the end ----------------------------------------------------------------------------------------------

  #message(event) {
    if (this.#over) return;
    this.#emit("message", event);
    if (event.type !== "call_ended") return;
    this.#finish();
    this.#emit("ended", endedProblem(event));
  }

  /** Another line has the call: one of this page's own while it mends, else another tab's, which has the same token. */
  #moved(peer) {
    if (this.#over) return;
    if (this.#mending) return peer.retire(); // its end is not worth a word
    this.#finish();
    this.#emit("ended", new Problem("moved"));
  }

  #finish() {
    this.#over = true;
    this.#listening.abort();
    this.#wake?.();
    this.#peer?.close();
    this.#next?.close();
    this.#kept.length = 0;
  }

  #turn(phase) {
    if (phase === this.#phase) return;
    this.#phase = phase;
    this.#emit("phase", phase);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
