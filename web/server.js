// The server's HTTP face: readiness, ICE servers, and the offer that begins, feeds and ends a call.

import { Problem } from "./problems.js";

const LIMIT_MS = 15_000; // the server answers an offer within 10 s, or refuses it

/** What the server says of itself: `{status: "ready", ...}`, `{status: "loading", what, fraction}`; throws Problem("gone"). */
export async function readiness(signal) {
  const response = await ask("ready", { signal, limit: 5_000 });
  const body = await json(response);
  if (response.ok) return body;
  if (response.status === 503) return { status: "loading", what: body.what ?? "", fraction: body.fraction ?? null };
  throw new Problem("gone", { detail: `HTTP ${response.status}` });
}

/** RTCIceServer[] to use for a call. */
export async function iceServers(signal) {
  const response = await ask("ice", { signal });
  if (!response.ok) throw await refusal(response);
  return (await json(response)).ice_servers ?? [];
}

/** Place (or, with a resume token, take up again) a call: `{sdp, session, resume}`. `silence`: ms for which nothing has
 *  come on the line that it had. */
export async function offer(sdp, { resume, silence }, signal) {
  const again = resume && { resume, ...(silence && { silent_ms: silence }) };
  const response = await send("POST", "offer", { sdp, type: "offer", ...again }, { signal });
  if (!response.ok) throw await refusal(response);
  return json(response);
}

/** Hand over ICE candidates as they are found; an empty string says that there are no more. Returns the server's own that
 *  it has found since it was last asked. */
export async function trickle(session, candidates, signal) {
  const response = await send("PATCH", path(session), { candidates }, { signal });
  if (!response.ok) throw await refusal(response);
  return response.status === 204 ? [] : ((await json(response)).candidates ?? []);
}

/** Hang up. Also leaves the page when it is being closed. */
export async function hangUp(session) {
  await ask(path(session), { method: "DELETE", keepalive: true });
}

const path = (session) => `offer/${encodeURIComponent(session)}`;

function send(method, url, body, options = {}) {
  return ask(url, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), ...options });
}

async function ask(url, { signal, limit = LIMIT_MS, ...options }) {
  const late = AbortSignal.timeout(limit);
  try {
    return await fetch(url, { cache: "no-store", signal: signal ? AbortSignal.any([signal, late]) : late, ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("gone", { detail: late.aborted ? "It gave no answer." : "", cause: error });
  }
}

async function json(response) {
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (!response.ok) return {}; // a proxy's own error page: the status says enough
    throw new Problem("gone", { detail: "the answer was no JSON", cause: error });
  }
}

async function refusal(response) {
  const { error = {} } = await json(response);
  const detail = error.message ?? `HTTP ${response.status}`;
  if (response.status !== 503) return new Problem(response.status >= 500 ? "gone" : "rejected", { detail });
  const retryAfter = Math.max(1, Number(response.headers.get("Retry-After")) || 5);
  const { status } = await readiness();
  return new Problem(status === "loading" ? "loading" : "full", { detail, retryAfter });
}
