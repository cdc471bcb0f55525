// The handset: everything that one call holds (microphone, sound, meter, screen), taken up together and let go together.

import * as audioSession from "./audiosession.js";
import { Call } from "./call.js";
import { Devices } from "./devices.js";
import { Meter } from "./meter.js";
import { openMicrophone, silentTrack } from "./microphone.js";
import { asProblem, Problem } from "./problems.js";
import { Wake } from "./wake.js";
import * as token from "./token.js";

const SETTLED_MS = 1_000; // a microphone that fails sooner after a change is not worth another

/**
 * Events: `phase`, `failed`, `message` and `ended` as of Call, `problem` (detail: a Problem that does not end the call),
 * `cleared` (detail: the code of one that is no more), `microphone` (its state has changed),
 * `switched` (detail: the name of the microphone that the call has now, since devices came or went).
 */
export class Phone extends EventTarget {
  #settings;
  #sound;
  #tail = new Audio(); // what an old line still has to say
  #wake = new Wake();
  #devices;
  #switching = null; // to another microphone
  #switchedAt = -Infinity;
  #stale = false; // devices came or went while the page was hidden
  #context = null;
  #meter = null;
  #microphone = null; // null while the caller only types
  #call = null;
  #muted = false;
  #reopen = false; // the microphone, which went while the page was hidden
  #holding = null; // null: open microphone; true or false: push-to-talk, pressed or not

  /** @param {HTMLAudioElement} sound */
  constructor(settings, sound) {
    super();
    this.#settings = settings;
    this.#sound = sound;
    this.#devices = new Devices(() => settings.get("microphone"), () => this.#switch());
    document.addEventListener("visibilitychange", () => this.#comeBack());
    audioSession.onReturn(() => this.#hearAgain());
  }

  get busy() {
    return this.#context !== null;
  }

  get muted() {
    return this.#muted;
  }

  /** Call, from within a gesture. `typing`: without a microphone. Throws Problem, with everything let go of again. */
  async dial({ typing = false } = {}) {
    if (!("RTCPeerConnection" in window)) throw new Problem("unsupported");
    const context = (this.#context = new AudioContext());
    this.#meter = new Meter(context);
    this.#muted = typing;
    const earlier = token.recall();
    try {
      audioSession.listen();
      context.resume(); // not awaited: without a gesture it waits for one
      const track = typing ? silentTrack(context) : await this.#openMicrophone(context);
      if (this.#context !== context) return track.stop(); // hung up while the browser was asking
      const call = (this.#call = new Call(track, earlier));
      this.#listen(call);
      await call.start();
      if (this.#call === call) await this.#wake.hold();
    } catch (error) {
      if (this.#context !== context) return;
      this.#release();
      const problem = asProblem(error);
      if (!earlier || problem.code === "rejected") token.forget(); // there is nothing to go on with
      throw problem;
    }
  }

  async hangUp() {
    token.forget();
    const call = this.#call;
    this.#release();
    if (call) await call.hangUp();
    else this.#emit("ended", null);
  }

  send(message) {
    this.#call?.send(message);
  }

  /** Open or close the microphone's gate; opens the microphone itself where the call began without one. */
  async mute(muted) {
    if (!muted && !this.#microphone) await this.changeMicrophone();
    this.#muted = muted;
    this.#gate();
  }

  /** Push-to-talk: `true` or `false` for pressed or not, null for an open microphone. */
  hold(pressed) {
    this.#holding = pressed;
    this.#gate();
  }

  /** Take the microphone that the settings name now. Throws Problem; the old one stays then. */
  async changeMicrophone() {
    const context = this.#context;
    if (!context) return;
    const old = this.#microphone;
    const track = await this.#openMicrophone(context);
    if (this.#context !== context) return track.stop();
    await this.#call?.setTrack(track);
    old?.stop();
    this.#gate();
  }

  async changeSpeaker() {
    if (!this.#sound.setSinkId) return;
    await Promise.all([this.#sound, this.#tail].map((one) => one.setSinkId(this.#settings.get("speaker"))));
  }

  /** Let the assistant be heard; from within a gesture if the browser asked for one. */
  async unblock() {
    try {
      await Promise.all([this.#context?.resume(), this.#sound.play()]);
    } catch (error) {
      if (error.name === "NotAllowedError") this.#emit("problem", new Problem("sound_blocked", { cause: error }));
      else console.info("voxrtc: playing was put off:", error.message); // a newer stream took its place
    }
  }

  /** 0 to 1, of "near" or "far". */
  level(side) {
    return this.#meter?.level(side) ?? 0;
  }

  async #openMicrophone(context) {
    audioSession.talk();
    const track = await openMicrophone(this.#settings.get("microphone"));
    if (this.#context !== context) return track;
    this.#devices.follow(track);
    track.addEventListener("ended", () => this.#microphoneGone(track)); // fires for a lost device, not for stop()
    this.#microphone = track;
    this.#meter.listen("near", new MediaStream([track]));
    this.#gate();
    return track;
  }

  /** Devices came or went: take the microphone that the call should have now. The line stays; so does the gate. */
  #switch() {
    return (this.#switching ??= this.#takeOther().finally(() => (this.#switching = null)));
  }

  async #takeOther() {
    this.#stale = document.hidden; // pages in the background are given no microphone
    if (!this.#microphone || this.#stale || performance.now() - this.#switchedAt < SETTLED_MS) return;
    this.#switchedAt = performance.now();
    try {
      await this.changeMicrophone();
      if (this.#microphone) this.#emit("switched", this.#microphone.label);
    } catch (error) {
      console.info("voxrtc: there is no other microphone:", error.message);
    }
  }

  async #microphoneGone(track) {
    if (track !== this.#microphone) return;
    await this.#switch(); // a phone goes on with its own when Bluetooth is out of reach
    if (track !== this.#microphone) return;
    this.#microphone = null;
    this.#reopen = document.hidden && !this.#muted;
    this.#muted = true;
    this.#meter.silence("near");
    this.#emit("microphone");
    this.#emit("problem", new Problem("microphone_gone"));
    await this.#call?.setTrack(silentTrack(this.#context));
  }

  /** Phones take the microphone from a page in the background; it is wanted back when the caller is. */
  async #comeBack() {
    if (document.hidden || !this.#context) return;
    this.#hearAgain();
    if (this.#stale) await this.#switch();
    if (!this.#reopen) return;
    this.#reopen = false;
    try {
      await this.mute(false);
      this.#emit("cleared", "microphone_gone");
    } catch (error) {
      this.#emit("problem", asProblem(error));
    }
  }

  /** Systems stop a page's sound for a phone call, or while the screen is off. */
  #hearAgain() {
    if (this.#sound.srcObject && (this.#sound.paused || this.#context?.state !== "running")) this.unblock();
  }

  #gate() {
    if (this.#microphone) this.#microphone.enabled = !this.#muted && this.#holding !== false;
    this.#emit("microphone");
  }

  #listen(call) {
    call.addEventListener("phase", (e) => this.#emit("phase", e.detail));
    call.addEventListener("failed", (e) => this.#emit("failed", e.detail));
    call.addEventListener("message", (e) => this.#emit("message", e.detail));
    call.addEventListener("token", (e) => token.keep(e.detail));
    call.addEventListener("sound", (e) => this.#hear(e.detail));
    call.addEventListener("ended", (e) => this.#ended(e.detail));
  }

  async #hear(stream) {
    if (this.#sound.srcObject) this.#playOut(this.#sound.srcObject);
    this.#sound.srcObject = stream;
    this.#meter.listen("far", stream);
    if (this.#settings.get("speaker")) await this.changeSpeaker();
    await this.unblock();
  }

  async #playOut(stream) {
    this.#tail.srcObject = stream;
    try {
      await this.#tail.play();
    } catch (error) {
      console.info("voxrtc: the end of the old line was not played:", error.message);
    }
  }

  #ended(problem) {
    if (problem?.code !== "lost") token.forget(); // a lost call may be taken up again
    this.#release();
    this.#emit("ended", problem);
  }

  #release() {
    this.#microphone?.stop();
    this.#meter?.close();
    this.#context?.close();
    this.#sound.srcObject = this.#tail.srcObject = null;
    this.#wake.release();
    this.#devices.stop();
    audioSession.end();
    this.#microphone = this.#meter = this.#context = this.#call = null;
    this.#holding = null;
    this.#reopen = this.#stale = false;
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
