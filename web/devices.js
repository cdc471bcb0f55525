// Microphones that come and go during a call: a headset is plugged in, Bluetooth connects or is out of reach.

/** Calls `changed` when the call should have another microphone than it has. */
export class Devices {
  #wanted;
  #changed;
  #known = null; // null: nobody is in a call
  #track = null;

  /** @param {() => string} wanted  the id of the microphone that the caller chose, empty for the default */
  constructor(wanted, changed) {
    this.#wanted = wanted;
    this.#changed = changed;
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#look());
  }

  /** The call has `track`; from now on. */
  async follow(track) {
    this.#track = track;
    const found = await microphones();
    if (this.#track === track) this.#known = found;
  }

  stop() {
    this.#known = this.#track = null;
  }

  async #look() {
    const before = this.#known;
    if (!before) return;
    const now = await microphones();
    if (this.#known !== before) return; // another look was quicker
    this.#known = now;
    if (this.#better(before, now)) this.#changed();
  }

  #better(before, now) {
    const wanted = this.#wanted();
    if (wanted && now.ids.has(wanted)) return this.#track.getSettings().deviceId !== wanted;
    if (wanted && before.ids.has(wanted)) return false; // it went: the track ends by itself
    if (now.standard !== null) return now.standard !== before.standard;
    return [...now.ids].some((id) => !before.ids.has(id)); // the system says no more than what there is
  }
}

/** `standard`: what the system's choice is now, null where the browser does not tell. */
async function microphones() {
  const all = (await navigator.mediaDevices.enumerateDevices()).filter((one) => one.kind === "audioinput");
  const standard = all.find((one) => one.deviceId === "default");
  return { ids: new Set(all.map((one) => one.deviceId)), standard: standard ? `${standard.groupId} ${standard.label}` : null };
}
