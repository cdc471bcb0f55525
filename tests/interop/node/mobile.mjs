// Runs the caller of docs/mobile.md: node mobile.mjs URL FOLDER. FOLDER holds caller.mjs, the code as it stands in the
// document, and clip.wav. Commands come as lines of JSON, {do: "send" | "speak" | "hangUp"}; what happens goes out so.

import { createInterface } from "node:readline";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { clip, file } from "./common.mjs";
import { loudspeaker, speak } from "./native.mjs";

const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");

const real = globalThis.fetch;
globalThis.fetch = (url, sent) => {
  tell({ asked: sent.method, path: new URL(url).pathname, body: sent.body ? JSON.parse(sent.body) : null });
  return real(url, sent);
};

const { Caller } = await import(pathToFileURL(file("caller.mjs")).href);
const caller = new Caller(process.argv[2], (event) => tell({ event }));
const commands = createInterface({ input: process.stdin });
await caller.call();
for await (const line of commands) {
  const command = JSON.parse(line);
  if (command.do === "send") caller.send(command.command);
  else if (command.do === "speak") speak(clip());
  else break;
}
await caller.hangUp();
tell({ loud: loudspeaker.blocks });
process.exit(0); // native threads would keep the process
