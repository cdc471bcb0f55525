// What the server says over the data channel (voxrtc/events.py), handed to whoever listens for it.

/** The events this page knows; an unknown one is logged and skipped, so that an older page works with a newer server. */
export const KNOWN = new Set([
  "call_started", "connection_lost", "call_moved", "call_ended", "memory_exported", "state_changed", "language_changed",
  "notice",
  "speech_started", "speech_paused", "speech_resumed", "turn_ended", "transcript", "turn_dropped",
  "speculation_dropped", "false_interruption", "tool_called", "tool_ended",
  "reply_started", "reply_text", "reply_spoken", "reply_resumed", "reply_ended", "interrupted",
  "turn_metrics", "media_stats",
]);

/** Routes events by type; several may listen to one type, in the order they came. */
export class Events {
  #listeners = new Map();

  on(type, listener) {
    if (!KNOWN.has(type)) throw new TypeError(`there is no event ${type}`);
    if (!this.#listeners.has(type)) this.#listeners.set(type, []);
    this.#listeners.get(type).push(listener);
    return this;
  }

  take(event) {
    if (!KNOWN.has(event?.type)) return console.info("voxrtc: an event this page does not know:", event?.type);
    for (const listener of this.#listeners.get(event.type) ?? []) listener(event);
  }
}
