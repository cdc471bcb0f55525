// What is counted over a call: who was interrupted, and what was made ahead in vain.

export class Tally {
  #list;
  #stopped = new Set(); // replies that are stopped now, unless that proves false
  #counts;

  /** @param {HTMLDListElement} list */
  constructor(list) {
    this.#list = list;
    this.clear();
  }

  /** @param events  an Events, to count from */
  follow(events) {
    const counting = (type, count) => events.on(type, (event) => this.#count(() => count(this.#counts, event)));
    counting("interrupted", (counts, { reply }) => {
      counts.interruptions += 1;
      this.#stopped.add(reply);
    });
    counting("false_interruption", (counts, { reply }) => {
      counts.mistaken += 1;
      if (this.#stopped.delete(reply)) counts.interruptions -= 1;
    });
    counting("reply_started", (counts, { speculated }) => (counts.kept += speculated ? 1 : 0));
    counting("speculation_dropped", (counts, { spent_ms }) => {
      counts.dropped += 1;
      counts.spent += spent_ms;
    });
  }

  clear() {
    this.#counts = { interruptions: 0, mistaken: 0, kept: 0, dropped: 0, spent: 0 };
    this.#stopped.clear();
    this.#show();
  }

  #count(change) {
    change();
    this.#show();
  }

  #show() {
    const { interruptions, mistaken, kept, dropped, spent } = this.#counts;
    const rows = [
      ["Interruptions", interruptions],
      ["False interruptions", mistaken],
      ["Answers begun in your pause, used", kept],
      ["Answers begun in your pause, dropped", dropped ? `${dropped} (${(spent / 1000).toFixed(1)} s of work)` : 0],
    ];
    this.#list.replaceChildren(...rows.map(pair));
  }
}

/** A row of a list of figures. */
export function pair([name, value]) {
  const row = document.createElement("div");
  row.append(Object.assign(document.createElement("dt"), { textContent: name }));
  row.append(Object.assign(document.createElement("dd"), { textContent: value }));
  return row;
}
