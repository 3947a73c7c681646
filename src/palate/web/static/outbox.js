// Decisions, remarks and undos on their way to the server. Each has a key of its own, so that one
// that is sent twice counts once; and each stays in this browser until the server has said that it
// is on disk. Each has a place of its own in storage, so that tabs of one voter never overwrite what
// another one keeps; a tab also sends what the others keep, since they may have been closed.

import { post } from "./api.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;

export function newKey() {
  // randomUUID is missing where the page came over plain HTTP from another machine.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Outbox {
  // `name` parts the annotators that use one browser; `on` is told what becomes of each entry.
  constructor(name, on) {
    this.name = `palate-outbox-${name}/`;
    this.on = on;
    this.entries = [];
    this.adopt();
    this.isSending = false;
    this.wake = () => {};
  }

  get size() {
    return this.entries.length;
  }

  // Numbers of the questions that entries are about.
  questions() {
    return new Set(this.entries.map((entry) => entry.content.question));
  }

  add(path, content) {
    const after = this.entries.at(-1)?.at ?? 0;
    const entry = {
      path, content: { ...content, request: newKey() }, at: Math.max(Date.now(), after + 1),
    };
    this.entries.push(entry);
    this.keep(entry);
    this.send();
  }

  async send() {
    if (this.isSending) return;
    this.isSending = true;
    this.adopt();
    let wait = FIRST_WAIT_MS;
    while (this.entries.length) {
      const [entry] = this.entries;
      try {
        const answer = await post(entry.path, entry.content);
        this.drop(entry);
        wait = FIRST_WAIT_MS;
        this.on.saved(entry, answer);
      } catch (trouble) {
        this.on.failed(entry, trouble);
        if (trouble.lasting) {
          this.drop(entry);
          this.on.refused(entry, trouble);
          continue;
        }
        await this.pause(wait);
        this.adopt();
        wait = Math.min(2 * wait, LONGEST_WAIT_MS);
      }
    }
    this.isSending = false;
  }

  pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  // Take in what is kept in this browser and not here yet, in the order of the decisions.
  adopt() {
    const here = new Set(this.entries.map((entry) => this.place(entry)));
    this.entries.push(...this.kept().filter((entry) => !here.has(this.place(entry))));
    this.entries.sort((one, other) => one.at - other.at);
  }

  kept() {
    try {
      const places = Object.keys(localStorage).filter((place) => place.startsWith(this.name));
      const texts = places.map((place) => localStorage.getItem(place));
      // Another tab may have sent one meanwhile.
      return texts.filter((text) => text !== null).map((text) => JSON.parse(text));
    } catch {
      return [];
    }
  }

  place(entry) {
    return this.name + entry.content.request;
  }

  keep(entry) {
    try {
      localStorage.setItem(this.place(entry), JSON.stringify(entry));
    } catch {
      // A browser without storage keeps them in memory; leaving the page asks first.
    }
  }

  drop(entry) {
    this.entries = this.entries.filter((one) => one !== entry);
    try {
      localStorage.removeItem(this.place(entry));
    } catch {
      // As above.
    }
  }
}
