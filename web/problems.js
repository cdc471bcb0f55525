// Everything that can go wrong, as a sentence of what happened and one of what to do next.

/** Something the caller has to be told. `actions` name buttons; `final` means that trying again by itself is no use. */
export class Problem extends Error {
  constructor(code, { detail = "", retryAfter = 0, cause } = {}) {
    const text = SENTENCES[code] ?? SENTENCES.unknown;
    super(text.next, { cause });
    this.code = code;
    this.title = text.title;
    this.detail = detail;
    this.retryAfter = retryAfter;
    this.actions = text.actions ?? [];
    this.final = text.final ?? false;
  }
}

/** What the buttons under a problem say. */
export const ACTIONS = {
  call: "Call again",
  retry: "Try again",
  type: "Type instead",
  sound: "Turn on sound",
  cancel: "Stop trying",
  dismiss: "OK",
};

const SENTENCES = {
  refused: {
    title: "The microphone is blocked",
    next: "Allow the microphone for this page (the icon beside the address), then try again. You can also type.",
    actions: ["retry", "type"],
    final: true,
  },
  no_microphone: {
    title: "No microphone was found",
    next: "Plug one in or switch it on, then try again. You can also type; the answers are spoken.",
    actions: ["retry", "type"],
    final: true,
  },
  microphone_busy: {
    title: "The microphone cannot be opened",
    next: "Another program may be using it. Close that program, or choose another microphone in the settings.",
    actions: ["retry", "type"],
    final: true,
  },
  microphone_gone: {
    title: "The microphone was disconnected",
    next: "The call goes on. Plug it in again or choose another one in the settings, then turn it on here.",
    actions: ["dismiss"],
  },
  insecure: {
    title: "This page needs HTTPS to use the microphone",
    next: "Open it with https:// in front, or on the server's own machine as http://localhost. Without it you can type.",
    actions: ["type"],
    final: true,
  },
  unsupported: {
    title: "This browser cannot place calls",
    next: "It has no WebRTC, or it is switched off. Use a current Chrome, Edge, Firefox or Safari.",
    final: true,
  },
  full: {
    title: "All lines are busy",
    next: "The server takes no more calls just now.",
    actions: ["cancel"],
  },
  still_full: {
    title: "All lines are still busy",
    next: "The server had no free line several times in a row. Try again in a few minutes.",
    actions: ["call"],
    final: true,
  },
  loading: {
    title: "The assistant is not ready yet",
    next: "Its models are still loading. You can call as soon as the button lights up.",
  },
  gone: {
    title: "The server cannot be reached",
    next: "Check your connection, and that voxrtc is running. This page keeps looking for it.",
    actions: ["retry"],
  },
  lost: {
    title: "The connection was lost",
    next: "Several tries to reach the server failed. Check your network, then call again; the conversation goes on if you are quick.",
    actions: ["call"],
    final: true,
  },
  unreachable: {
    title: "The call could not be connected",
    next: "The server answered, but no sound can get through: a firewall may block UDP, or a TURN server is needed. Try another network.",
    actions: ["call"],
  },
  rejected: {
    title: "The server refused this call",
    next: "Reload the page and call again. If it stays like this, tell whoever runs the server.",
    actions: ["call"],
    final: true,
  },
  sound_blocked: {
    title: "The browser is holding the sound back",
    next: "Tap the button to hear the assistant.",
    actions: ["sound"],
  },
  expired: {
    title: "The call ended because nobody spoke",
    next: "Call again whenever you like.",
    actions: ["call"],
  },
  moved: {
    title: "The call goes on in another tab",
    next: "It was taken up there. Call again here to begin another one.",
    actions: ["call"],
    final: true,
  },
  shutdown: {
    title: "The server was switched off or restarted",
    next: "Call again in a moment.",
    actions: ["call"],
  },
  failed: {
    title: "The call ended because something broke on the server",
    next: "Call again. If it happens every time, tell whoever runs the server.",
    actions: ["call"],
  },
  unknown: {
    title: "Something went wrong on this page",
    next: "Reload it and call again.",
    actions: ["call"],
    final: true,
  },
};

/** Any error as a Problem; what nobody foresaw becomes `unknown`, with the original as its cause. */
export function asProblem(error) {
  return error instanceof Problem ? error : new Problem("unknown", { detail: String(error?.message ?? error), cause: error });
}

/** The problem behind a `call_ended` event, or null where the call simply ended. */
export function endedProblem({ reason, detail }) {
  const codes = { lost: "lost", expired: "expired", shutdown: "shutdown", error: "failed" };
  return codes[reason] ? new Problem(codes[reason], { detail }) : null;
}
