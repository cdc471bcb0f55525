// A page that calls with OpenAI's stock client, as its documentation has it; tests/clients/test_openai.py drives it.
import { OpenAIRealtimeWebRTC, RealtimeAgent, RealtimeSession, tool } from "@openai/agents-realtime";
import { z } from "zod";

/** Every server event that the client let through, every error that it told of, and every call of the tool. */
const told = [];
const errors = [];
const asked = [];
const speaker = document.querySelector("audio");

const weather = tool({
  name: "weather",
  description: "The weather in a city now.",
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => {
    asked.push(city);
    return JSON.stringify({ city, temperature_celsius: 31, sky: "clear" });
  },
});

/** Call the server at `base`; resolves once the client says that it is connected. */
async function call(base, { instructions, config = {}, functions = false }) {
  const answer = await fetch(`${base}/v1/realtime/client_secrets`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ session: { type: "realtime", model: "gpt-realtime" } }),
  });
  const { value } = await answer.json();
  const agent = new RealtimeAgent({ name: "assistant", instructions, tools: functions ? [weather] : [] });
  const transport = new OpenAIRealtimeWebRTC({ audioElement: speaker });
  const session = new RealtimeSession(agent, { transport, model: "gpt-realtime", config });
  session.on("transport_event", (event) => told.push(event));
  session.on("error", ({ error }) => errors.push(JSON.parse(JSON.stringify(error ?? null))));
  await session.connect({ apiKey: value, url: `${base}/v1/realtime/calls` });
  window.session = session;
  return transport.callId;
}

Object.assign(window, { call, told, errors, asked });
