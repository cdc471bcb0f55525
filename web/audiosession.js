// What the page does with sound, where the system wants to know (Safari): it chooses loudspeaker, microphone and who else may
// be heard by that. W3C Audio Session

const session = navigator.audioSession;

/** Sound comes and goes at once. */
export function talk() {
  take("play-and-record");
}

/** Sound only comes; unlike that of "auto" it is heard with the switch for silence on. */
export function listen() {
  take("playback");
}

export function end() {
  take("auto");
}

/** `back` is called when the sound was interrupted (a phone call) and may go on. */
export function onReturn(back) {
  session?.addEventListener?.("statechange", () => session.state === "active" && back());
}

function take(type) {
  if (session) session.type = type;
}
