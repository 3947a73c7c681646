// Decisions, remarks and undos on their way to the server. Each has a key of its own, so that one that is sent twice
// counts once; and each stays in this browser until the server has said that it is on disk.

import { post } from "./api.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;

function newKey() {
  // randomUUID is missing where the page came over plain HTTP from another machine.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Outbox {
  // `name` parts the annotators that use one browser; `on` is told what becomes of each entry.
  constructor(name, on) {
    this.name = `palate-outbox-${name}`;
    this.on = on;
    this.entries = this.kept();
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
    this.entries.push({ path, content: { ...content, request: newKey() } });
    this.keep();
    this.send();
  }

  async send() {
    if (this.isSending) return;
    this.isSending = true;
    let wait = FIRST_WAIT_MS;
    while (this.entries.length) {
      const [entry] = this.entries;
      try {
        const answer = await post(entry.path, entry.content);
        this.entries.shift();
        this.keep();
        wait = FIRST_WAIT_MS;
        this.on.saved(entry, answer);
      } catch (trouble) {
        this.on.failed(entry, trouble);
        if (trouble.lasting) {
          this.entries.shift();
          this.keep();
          this.on.refused(entry, trouble);
          continue;
        }
        await this.pause(wait);
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

  kept() {
    try {
      return JSON.parse(localStorage.getItem(this.name) ?? "[]");
    } catch {
      return [];
    }
  }

  keep() {
    try {
      localStorage.setItem(this.name, JSON.stringify(this.entries));
    } catch {
      // A browser without storage keeps them in memory; leaving the page asks first.
    }
  }
}
