// The face of the assistant: what the round button shows, says and does in each state.

const FACES = {
  loading: { word: "Starting", icon: "dots", label: "The assistant is loading", idle: true },
  gone: { word: "Not reachable", icon: "link", label: "The server cannot be reached", idle: true },
  ready: { word: "Ready", icon: "call", label: "Call the assistant", hint: "Tap to call" },
  resumable: { word: "Call interrupted", icon: "call", label: "Go on with the call", hint: "Tap to go on with it" },
  waiting: { word: "Waiting for a line", icon: "dots", label: "Waiting for a free line", idle: true },
  connecting: { word: "Connecting", icon: "call", label: "Connecting", idle: true },
  reconnecting: { word: "Reconnecting", icon: "link", label: "Reconnecting", hint: "The line broke; taking the call up again", idle: true },
  listening: { word: "Listening", icon: "mic", label: "The assistant is listening", hint: "Just speak", idle: true },
  thinking: { word: "Thinking", icon: "dots", label: "Stop the assistant", hint: "" },
  speaking: { word: "Speaking", icon: "voice", label: "Stop the assistant", hint: "Speak, or tap, to interrupt" },
  muted: { word: "Microphone off", icon: "mic-off", label: "The assistant is waiting", hint: "Turn the microphone on, or type", idle: true },
};

const TOUCH = matchMedia("(pointer: coarse)"); // a phone has no space bar
const HOLD = { label: "Hold to talk", idle: false };
const HELD = { word: "Listening", icon: "mic", label: "Release to send", hint: "Release when you are done", idle: false };

/** The button to be held; with nothing to hear it says so in its word. */
function toHold(state) {
  const hint = TOUCH.matches ? "Hold the button and speak" : "Hold the button, or the space bar, and speak";
  return { ...HOLD, hint, ...(state === "listening" && { word: "Hold to talk" }) };
}

export class Orb {
  #parts;

  /** @param parts  elements: root (carries data-state), button, icon, word, hint */
  constructor(parts) {
    this.#parts = parts;
  }

  /** @param {string} state  a key of FACES
   *  @param {{hold?: boolean, held?: boolean, interrupting?: boolean, hint?: string}} [how]  push-to-talk, and whether it is pressed */
  show(state, { hold = false, held = false, interrupting = true, hint } = {}) {
    const { root, button, icon, word, hint: line } = this.#parts;
    let face = FACES[state];
    if (hold && ["listening", "thinking", "speaking"].includes(state)) face = { ...face, ...(held ? HELD : toHold(state)) };
    else if (state === "speaking" && !interrupting) face = { ...face, hint: "Tap to stop it" };
    root.dataset.state = held ? "listening" : state;
    button.setAttribute("aria-label", face.label);
    button.setAttribute("aria-disabled", String(Boolean(face.idle)));
    icon.setAttribute("href", `#i-${face.icon}`);
    word.textContent = face.word;
    line.textContent = hint ?? face.hint ?? "";
  }
}
