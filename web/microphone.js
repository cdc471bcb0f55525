// The caller's microphone: opened on demand, closed for good, and a silent stand-in for callers who type.

import { Problem } from "./problems.js";

const WISHES = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };

const CODES = {
  NotAllowedError: "refused",
  SecurityError: "refused",
  NotFoundError: "no_microphone",
  OverconstrainedError: "no_microphone",
  NotReadableError: "microphone_busy",
  AbortError: "microphone_busy",
};

/** A live microphone track from `deviceId` (empty: the default; one that is gone: the default too). Throws Problem. */
export async function openMicrophone(deviceId) {
  if (!window.isSecureContext || !navigator.mediaDevices) throw new Problem("insecure");
  try {
    const audio = deviceId ? { ...WISHES, deviceId: { ideal: deviceId } } : WISHES;
    const stream = await navigator.mediaDevices.getUserMedia({ audio, video: false });
    return stream.getAudioTracks()[0];
  } catch (error) {
    throw new Problem(CODES[error.name] ?? "microphone_busy", { cause: error });
  }
}

/** A track of silence, so that a call has the same shape with and without a microphone. */
export function silentTrack(context) {
  const end = context.createMediaStreamDestination();
  const nothing = context.createConstantSource(); // without a source Chromium sends no packets at all
  nothing.offset.value = 0;
  nothing.connect(end);
  nothing.start();
  return end.stream.getAudioTracks()[0];
}

/** The devices of one kind ("audioinput", "audiooutput") as `{id, label}`; without permission there is nothing to name. */
export async function devices(kind) {
  if (!navigator.mediaDevices?.enumerateDevices) return [];
  const all = await navigator.mediaDevices.enumerateDevices();
  return all.filter((d) => d.kind === kind && d.deviceId && d.label).map((d) => ({ id: d.deviceId, label: d.label }));
}
