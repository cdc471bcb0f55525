// The conversation as it is said. What may still change is grey; what was not heard of a reply is struck out.

import { ToolLine } from "./tool.js";

const MOST = 400; // entries on the page; older ones leave at the top
const MARKS = { interrupted: "You interrupted", failed: "The answer broke off" };
const STRONG = 1.4; // intensity from which a mood is "very", and ...
const WEAK = 0.75; // ... up to which it is "a little"
const CLOSES = /[\s。！？、，…「『（]$/u; // nothing, or East Asian punctuation, before the next clause: no space is needed

export class Transcript {
  #list;
  #scroller;
  #announce;
  #began;
  #entries = new Map(); // "turn 3", "reply 2" -> entry
  #typed = []; // what was typed and has not come back yet
  #goesOn = null; // the entry of a turn that the caller took up again: its words stay until the next has more
  #tools = new Map(); // id -> ToolLine
  #pinned = true;

  /** @param {HTMLOListElement} list  @param {HTMLElement} scroller  what the list scrolls in
   *  @param told  functions: announce(sentence) for finished words, moved(atEnd) when it was scrolled, began(something) when
   *  the first line comes or the last goes */
  constructor(list, scroller, { announce, moved, began }) {
    this.#list = list;
    this.#scroller = scroller;
    this.#announce = announce;
    this.#began = began;
    scroller.addEventListener("scroll", () => {
      this.#pinned = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40;
      moved(this.#pinned);
    });
    new ResizeObserver(() => this.#follow()).observe(scroller); // a problem above it, a keyboard below it
  }

  /** Turns and replies are counted from the start again. */
  newSession() {
    this.#entries.clear();
    this.#tools.clear();
    this.#typed.length = 0;
    this.#goesOn = null;
  }

  clear() {
    this.newSession();
    this.#list.replaceChildren();
    this.#began(false);
  }

  toEnd() {
    this.#pinned = true;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  /** A line between the others: the call ended, the assistant says sorry. */
  note(sentence) {
    const item = element("li", "note", sentence);
    this.#append(item);
  }

  /** Shown at once, grey, until the server has it. */
  typed(text) {
    const entry = this.#turn(null);
    entry.said.textContent = text;
    this.#typed.push({ text, entry });
    this.toEnd();
  }

  /** `transcript`: partials may only grow; the final stands. */
  heard({ turn, text, final, language }) {
    const key = `turn ${turn}`;
    const entry = this.#entries.get(key) ?? this.#adopt(text, final) ?? this.#takeUp() ?? this.#turn(turn);
    this.#entries.set(key, entry);
    const told = final && !entry.item.classList.contains("partial") && entry.said.textContent === text; // once before
    if (final || text.length >= entry.said.textContent.length) entry.said.textContent = text;
    if (language && language !== "auto") entry.said.lang = language;
    entry.item.classList.toggle("partial", !final);
    if (final && text && !told) this.#announce(`You: ${text}`);
    if (final && !text) this.dropped({ turn });
    this.#follow();
  }

  /** `turn_dropped`: it was no speech after all, or the caller went on and the next turn begins with its words. */
  dropped({ turn, reason }) {
    const entry = this.#entries.get(`turn ${turn}`);
    this.#entries.delete(`turn ${turn}`);
    if (entry && reason === "continued") this.#goesOn = entry;
    else (entry ?? this.#takeUp())?.item.remove();
  }

  /** `reply_started` */
  replyStarted({ reply, turn }) {
    for (const { entry } of this.#typed.splice(0)) entry.item.classList.remove("partial");
    const entry = this.#again(reply) ?? this.#reply(reply);
    entry.turn = turn;
  }

  /** A reply that is known is told once more (the call was taken up again): it is written over. */
  #again(reply) {
    const entry = this.#entries.get(`reply ${reply}`);
    if (!entry?.item.isConnected) return null;
    entry.mark.textContent = "";
    entry.emotions.replaceChildren();
    return Object.assign(entry, { text: "", clauses: [], moods: [], over: false });
  }

  /** `reply_text`: one more clause, not spoken yet. */
  replyText({ reply, text, emotion, intensity }) {
    const entry = this.#entries.get(`reply ${reply}`) ?? this.#reply(reply);
    const space = entry.text && !CLOSES.test(entry.text) && !/^\s/u.test(text) ? " " : "";
    entry.clauses.push(entry.text.length + space.length);
    entry.text += space + text;
    entry.moods.push(mood(emotion, intensity));
    this.#feel(entry, entry.moods.length);
    this.#split(entry);
  }

  /** The moods of its first clauses, each once where it sets in: small marks before the text. */
  #feel(entry, clauses) {
    const moods = entry.moods.slice(0, clauses).filter(Boolean);
    const changes = moods.filter((mood, n) => mood.words !== moods[n - 1]?.words);
    entry.emotions.replaceChildren(
      ...changes.map(({ emotion, words }) => {
        const made = element("span", "emotion", words);
        made.dataset.emotion = emotion;
        return made;
      }),
    );
  }

  /** `interrupted`: how much of it was heard comes with its end. */
  interrupted({ reply }) {
    const entry = this.#entries.get(`reply ${reply}`);
    if (entry) entry.mark.textContent = MARKS.interrupted;
    this.#follow();
  }

  /** `false_interruption`: it goes on where it was heard last, as if nothing had been. */
  goesOn({ reply }) {
    const entry = this.#entries.get(`reply ${reply}`);
    if (!entry) return;
    entry.mark.textContent = "";
    entry.over = false;
    this.#split(entry);
  }

  /** `reply_resumed`: on another line it goes on after a character that was heard, though it may have ended on the old. */
  resumed({ reply, heard }) {
    const entry = this.#entries.get(`reply ${reply}`);
    if (!entry) return;
    entry.mark.textContent = "";
    entry.over = false;
    entry.shown = heard;
    this.#split(entry);
  }

  /** `tool_called` */
  toolCalled(call) {
    const line = new ToolLine(call);
    this.#tools.set(call.id, line);
    this.#append(line.item, this.#unfinished()?.item); // it is for what the reply will say next
  }

  /** `tool_ended` */
  toolEnded({ id, ended, took_ms }) {
    this.#tools.get(id)?.end(ended, took_ms);
    this.#follow();
  }

  /** The call is over: nothing is under way any more. */
  callEnded() {
    for (const line of this.#tools.values()) if (line.running) line.end("cancelled");
  }

  /** `reply_spoken`: heard up to a character. The clause that is being said counts as said to the eye. */
  replySpoken({ reply, clause, heard }) {
    const entry = this.#entries.get(`reply ${reply}`);
    if (!entry) return;
    const until = entry.clauses[clause + 1] ?? entry.text.length;
    entry.shown = Math.max(entry.shown, heard, until);
    this.#split(entry);
  }

  /** `reply_ended`: cut to what was heard. */
  replyEnded({ reply, ended, text }) {
    const entry = this.#entries.get(`reply ${reply}`);
    if (!entry) return;
    entry.over = true;
    entry.mark.textContent = MARKS[ended] ?? "";
    if (!text && (ended === "cancelled" || !entry.text)) entry.item.remove();
    else if (ended === "finished") this.#settle(entry, text || entry.text, "");
    else this.#settle(entry, text, entry.text.slice(heardLength(entry.text, text)));
    const said = heardLength(entry.text, text);
    if (ended !== "finished") this.#feel(entry, entry.clauses.filter((start) => start < said).length);
    if (text) this.#announce(`Assistant: ${text}${ended === "interrupted" ? " (interrupted)" : ""}`);
    this.#follow();
  }

  #settle(entry, heard, rest) {
    entry.said.replaceChildren(element("span", "heard", heard));
    if (rest) {
      const cut = element("s", "unheard");
      cut.append(element("span", "hidden", "Not heard: "), rest);
      entry.said.append(" ", cut);
    }
  }

  #split(entry) {
    const ahead = entry.text.slice(entry.shown);
    entry.said.replaceChildren(element("span", "heard", entry.text.slice(0, entry.shown)));
    if (ahead) entry.said.append(element("span", "ahead", ahead));
    this.#follow();
  }

  /** What was typed comes back as a final transcript: it is the same line. */
  #adopt(text, final) {
    const found = final ? this.#typed.findIndex((t) => t.text.trim() === text.trim()) : -1;
    return found < 0 ? null : this.#typed.splice(found, 1)[0].entry;
  }

  #takeUp() {
    const entry = this.#goesOn;
    this.#goesOn = null;
    return entry;
  }

  /** The reply at the end of the list, if more of it may come. */
  #unfinished() {
    const last = this.#list.lastElementChild;
    return [...this.#entries.values()].find((entry) => entry.over === false && entry.item === last);
  }

  #turn(turn) {
    const item = element("li", "turn partial");
    const said = element("p", "said");
    said.dir = "auto";
    item.append(element("span", "hidden", "You: "), said);
    const answer = [...this.#entries.values()].find((e) => turn !== null && e.turn === turn);
    this.#append(item, answer?.item); // a transcript may come after the answer to it has begun
    return { item, said };
  }

  #reply(reply) {
    const item = element("li", "reply");
    const said = element("p", "said");
    const emotions = element("span", "emotions");
    const mark = element("p", "mark");
    said.dir = "auto";
    item.append(element("span", "hidden", "Assistant: "), emotions, said, mark);
    const entry = { item, said, emotions, mark, text: "", clauses: [], moods: [], shown: 0, turn: null, over: false };
    this.#entries.set(`reply ${reply}`, entry);
    this.#append(item);
    return entry;
  }

  #append(item, before = null) {
    this.#list.insertBefore(item, before);
    this.#began(true);
    while (this.#list.children.length > MOST) this.#list.firstElementChild.remove();
    this.#follow();
  }

  #follow() {
    if (this.#pinned) this.toEnd();
  }
}

/** A clause's mood, in words; null if it is neutral. */
function mood(emotion, intensity = 1) {
  if (!emotion || emotion === "neutral") return null;
  const degree = intensity >= STRONG ? "very " : intensity <= WEAK ? "a little " : "";
  return { emotion, words: degree + emotion };
}

/** How many characters of `full` the words of `heard` reach; spaces may differ. All of it if `heard` is no beginning of it. */
export function heardLength(full, heard) {
  let at = 0;
  for (const letter of heard.replace(/\s+/gu, "")) {
    while (at < full.length && /\s/u.test(full[at])) at++;
    if (!full.startsWith(letter, at)) return full.length;
    at += letter.length;
  }
  return at;
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
