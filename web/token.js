// The resume token of the running call, kept for this tab, so that a reloaded page can go on with it.

const KEY = "voxrtc.resume";
const FRESH_MS = 120_000; // an older one is not worth asking for

export function keep(token) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ token, since: Date.now() }));
  } catch (error) {
    console.info("voxrtc: a reloaded page will not find this call again:", error.message);
  }
}

/** The token of a call that was cut off a short while ago, or undefined. */
export function recall() {
  try {
    const { token, since = 0 } = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
    return Date.now() - since < FRESH_MS ? token : undefined;
  } catch (error) {
    console.info("voxrtc: no earlier call can be found:", error.message);
    return undefined;
  }
}

export function forget() {
  try {
    sessionStorage.removeItem(KEY);
  } catch (error) {
    console.info("voxrtc: nothing was kept of this call:", error.message);
  }
}
