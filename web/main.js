// Ties the parts of the page together. What is shown follows from four facts: the phase of the call, what the
// assistant does, the microphone's gate, and how the caller wants to talk.

import { Card } from "./card.js";
import { Details } from "./details.js";
import { Drawer } from "./drawer.js";
import { Events } from "./events.js";
import { Hold } from "./hold.js";
import { Orb } from "./orb.js";
import { Phone } from "./phone.js";
import { asProblem, Problem } from "./problems.js";
import { Readiness } from "./ready.js";
import { Ring } from "./ring.js";
import { Settings } from "./settings.js";
import { Transcript } from "./transcript.js";
import * as token from "./token.js";

const FULL_TRIES = 5;
const $ = (id) => document.getElementById(id);
const root = document.documentElement;

const settings = new Settings();
const phone = new Phone(settings, $("sound"));
const events = new Events();
const ready = new Readiness();
const drawer = new Drawer($("settings"), settings);
const card = new Card($("problem"), act);
const orb = new Orb({ root, button: $("orb"), icon: $("orb-icon"), word: $("state"), hint: $("hint") });
const ring = new Ring($("ring"), () => (phase === "up" ? phone.level(doing === "speaking" ? "far" : "near") : 0));
const transcript = new Transcript($("transcript"), $("conversation"), {
  announce, moved: (atEnd) => ($("latest").hidden = atEnd), began: showConversation,
});
const details = new Details($("strip"), $("details"));
const hold = new Hold($("orb"), () => phase === "up" && interruptions() === "push-to-talk", held);

let phase = "loading"; // loading, gone, ready, resumable, waiting, connecting, up, reconnecting
let doing = "listening"; // listening, thinking, speaking
let running = {}; // call_started of this call
let unsent = []; // typed before there was a call
let typing = false; // the call was begun by typing
let line = { tries: 0, timer: 0 }; // waiting for a free line

// -- what the caller does ---------------------------------------------------------------------------------

$("orb").addEventListener("click", () => {
  if (phase === "ready" || phase === "resumable") dial();
  else if (phase === "up" && doing !== "listening" && interruptions() !== "push-to-talk") phone.send({ type: "interrupt" });
});
$("hang-up").addEventListener("click", hangUp);
$("mute").addEventListener("click", () => attempt(phone.mute(!phone.muted)));
$("latest").addEventListener("click", () => transcript.toEnd());
for (const id of ["settings", "details"]) {
  $(id).addEventListener("close", () => root.hasAttribute("data-hold") && $("orb").focus()); // where the space bar talks
}
$("open-settings").addEventListener("click", async () => {
  requestAnimationFrame(showLevel);
  await drawer.show();
});
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text || ["loading", "gone", "waiting"].includes(phase)) return;
  $("text").value = "";
  if (running.call) phone.send({ type: "text", text });
  else unsent.push(text);
  if (phone.busy) transcript.typed(text);
  else dial({ typing: true });
});

function act(action) {
  const done = card.code;
  card.clear();
  $("orb").focus(); // the button that was pressed is gone
  if (action === "sound") phone.unblock();
  else if (action === "cancel") stopWaiting();
  else if (action === "type") startTyping();
  else if (done === "gone") ready.watch();
  else if (action !== "dismiss") dial({ typing: typing && action === "call" });
}

async function startTyping() {
  await dial({ typing: true });
  $("text").focus();
}

async function dial(how = {}) {
  if (phone.busy) return;
  typing = how.typing ?? false;
  card.clear();
  ready.stop();
  if (!token.recall()) forgetCall();
  unsent.forEach((text) => transcript.typed(text));
  const dialled = phone.dial({ typing }); // at once, while the gesture counts; it is busy from here on
  show("connecting");
  try {
    await dialled;
    line.tries = 0;
  } catch (error) {
    failed(asProblem(error));
  }
}

async function hangUp() {
  hold.release();
  unsent = [];
  await phone.hangUp();
}

function stopWaiting() {
  clearInterval(line.timer);
  line = { tries: 0, timer: 0 };
  unsent = [];
  idle();
}

function held(pressed) {
  phone.hold(interruptions() === "push-to-talk" ? pressed : null);
  if (phase === "up" || (phase === "reconnecting" && !pressed)) phone.send({ type: "push_to_talk", pressed });
  if (phase !== "up") return;
  if (pressed && phone.muted) attempt(phone.mute(false));
  refresh();
}

/** Wait for something that may end in a Problem which does not end the call. */
async function attempt(promise) {
  try {
    await promise;
  } catch (error) {
    const problem = asProblem(error);
    problem.actions = ["dismiss"]; // the call goes on: there is nothing to dial
    card.show(problem);
  }
  refresh();
}

// -- what the call does -----------------------------------------------------------------------------------

phone.addEventListener("phase", (e) => {
  show(e.detail);
  if (e.detail === "up") say("Connected");
  if (e.detail === "reconnecting") say("The connection broke. Reconnecting.");
  if (drawer.open) drawer.refreshDevices();
});
phone.addEventListener("failed", ({ detail: { tried, of, problem } }) => {
  const why = navigator.onLine ? problem.title : "This device is offline";
  refresh({ hint: `${why} · try ${tried} of ${of - 1}` });
});
phone.addEventListener("message", (e) => events.take(e.detail));
phone.addEventListener("microphone", refresh);
phone.addEventListener("switched", (e) => {
  refresh({ hint: e.detail ? `Microphone: ${e.detail}` : "Another microphone" });
  say("The microphone was changed.");
});
phone.addEventListener("problem", (e) => card.show(e.detail));
phone.addEventListener("cleared", (e) => card.clear(e.detail));
phone.addEventListener("ended", (e) => (e.detail ? failed(e.detail) : ended()));

function ended() {
  transcript.note("Call ended");
  say("Call ended");
  idle();
}

function failed(problem) {
  if (problem.code === "full") return waitForLine(problem);
  line.tries = 0;
  card.show(problem);
  idle();
}

/** The server is full: count down to when it said a line may be free, and call again. */
function waitForLine(problem) {
  line.tries += 1;
  if (line.tries > FULL_TRIES) return failed(new Problem("still_full"));
  card.show(problem);
  let seconds = problem.retryAfter;
  const tell = () => orb.show("waiting", { hint: `Trying again in ${seconds} s` });
  show("waiting");
  tell();
  line.timer = setInterval(() => {
    seconds -= 1;
    if (seconds > 0) return tell();
    clearInterval(line.timer);
    dial({ typing });
  }, 1000);
}

/** No call: see whether the server is there for another. */
function idle() {
  hold.release();
  running = {};
  doing = "listening";
  details.ended();
  transcript.callEnded();
  show(token.recall() ? "resumable" : "ready");
  ready.watch();
}

ready.addEventListener("ready", (e) => {
  drawer.offers(e.detail);
  card.clear("gone");
  card.clear("loading");
  if (["loading", "gone"].includes(phase)) show(token.recall() ? "resumable" : "ready");
});
ready.addEventListener("loading", (e) => {
  const { what, fraction } = e.detail;
  const share = fraction === null ? "" : `, ${Math.floor(100 * fraction)} %`;
  card.clear("gone");
  show("loading", { hint: what ? `Loading ${what}${share}` : `Loading models${share}` });
  if (fraction === null) $("loading").removeAttribute("value");
  else $("loading").value = fraction;
});
ready.addEventListener("gone", (e) => {
  show("gone");
  card.show(e.detail);
});

// -- what is said -----------------------------------------------------------------------------------------

events.on("call_started", (event) => {
  if (running.call && !event.resumed) transcript.note("The earlier conversation could not be taken up again. This is a new one.");
  if (!event.resumed) {
    transcript.newSession();
    const chosen = settings.forServer();
    if (Object.keys(chosen).length) phone.send({ type: "config", ...chosen });
  }
  unsent.splice(0).forEach((text) => phone.send({ type: "text", text }));
  running = event;
  drawer.runsWith(event);
  applyTalking();
  if (hold.pressed) phone.send({ type: "push_to_talk", pressed: true }); // held while the line was broken
  refresh();
});
events.on("state_changed", (event) => {
  doing = event.state;
  refresh();
});
events.on("notice", ({ code, message }) => {
  if (code === "bad_message") return console.warn("voxrtc:", message);
  transcript.note(message);
  say(message);
});
details.follow(events);
events.on("transcript", (event) => transcript.heard(event));
events.on("turn_dropped", (event) => transcript.dropped(event));
events.on("reply_started", (event) => transcript.replyStarted(event));
events.on("reply_text", (event) => transcript.replyText(event));
events.on("reply_spoken", (event) => transcript.replySpoken(event));
events.on("reply_resumed", (event) => transcript.resumed(event));
events.on("reply_ended", (event) => transcript.replyEnded(event));
events.on("interrupted", (event) => transcript.interrupted(event));
events.on("false_interruption", (event) => transcript.goesOn(event));
events.on("tool_called", (event) => {
  transcript.toolCalled(event);
  // Functions of the caller's come from programs that call; one that is taken up again by this page must not wait for it.
  if (!event.local) phone.send({ type: "tool_result", id: event.id, error: "This page has no functions of its own." });
});
events.on("tool_ended", (event) => transcript.toolEnded(event));

// -- what is shown ----------------------------------------------------------------------------------------

function show(next, how) {
  phase = next;
  const inCall = ["connecting", "up", "reconnecting"].includes(phase);
  if (!inCall && $("controls").contains(document.activeElement)) $("orb").focus(); // what it was on goes away
  $("controls").hidden = !inCall;
  $("loading").hidden = phase !== "loading";
  $("text").disabled = ["loading", "gone", "waiting"].includes(phase);
  if (phase === "up") ring.start();
  else ring.stop();
  refresh(how);
}

function refresh(how) {
  if (phase === "waiting") return; // the countdown shows itself
  const pushToTalk = interruptions() === "push-to-talk";
  const quiet = phone.muted && doing === "listening" && !hold.pressed;
  const state = phase === "up" ? (quiet ? "muted" : doing) : phase;
  orb.show(state, { hold: pushToTalk, held: hold.pressed, interrupting: interruptions() === "on", hint: how?.hint });
  root.toggleAttribute("data-hold", pushToTalk && phase === "up");
  $("mute").setAttribute("aria-pressed", String(phone.muted));
  $("mute-icon").setAttribute("href", phone.muted ? "#i-mic-off" : "#i-mic");
  $("mute-label").textContent = phone.muted ? "Unmute" : "Mute";
}

/** The large button alone while nothing was said, then a smaller one over the conversation. */
function showConversation(begun) {
  $("conversation").hidden = !begun;
  root.toggleAttribute("data-talk", begun);
}

function forgetCall() {
  transcript.clear();
  details.clear();
}

function showLevel() {
  $("mic-level").hidden = !phone.busy;
  $("mic-level").value = phone.level("near");
  if (drawer.open) requestAnimationFrame(showLevel);
}

function say(sentence) {
  $("status").textContent = sentence;
}

/** For screen readers: finished words only, and not for ever. */
function announce(sentence) {
  if (!settings.get("announce")) return;
  $("announcer").append(Object.assign(document.createElement("p"), { textContent: sentence }));
  while ($("announcer").children.length > 20) $("announcer").firstElementChild.remove();
}

// -- settings ---------------------------------------------------------------------------------------------

function interruptions() {
  return settings.get("interruptions") || running.interruptions || "on";
}

function applyTalking() {
  phone.hold(interruptions() === "push-to-talk" ? hold.pressed : null);
}

settings.addEventListener("change", ({ detail: key }) => {
  const value = settings.get(key);
  if (key === "captions") root.dataset.captions = value;
  if (!phone.busy) return;
  if (key === "microphone" && !phone.muted) attempt(phone.changeMicrophone());
  if (key === "speaker") attempt(phone.changeSpeaker());
  if (key === "interruptions") applyTalking();
  if (["interruptions", "language", "voice"].includes(key) && value) phone.send({ type: "config", [key]: value });
  refresh();
});

root.dataset.captions = settings.get("captions");
refresh();
if (!window.isSecureContext) card.show(new Problem("insecure"));
ready.watch();
