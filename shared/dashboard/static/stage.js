// What one visit to a page of the dashboard has: its heading, its content, its end, and the beat of the clock.

import { KeyRefused } from "./api.js";
import { element, replace, retell } from "./elements.js";
import { timeOfDay } from "./words.js";

const BEAT_MS = 10_000;

const NAME = "Provisioning";
const byId = (id) => document.getElementById(id);

/** Tells a result: shown, and read out. */
export function announce(text) {
  byId("news").textContent = text;
}

/** Tells what is wrong; empty: all is well again. */
export function complain(text) {
  if (byId("trouble").textContent !== text) byId("trouble").textContent = text;
}

/** A refusal as elements: its sentence, and each mistake. */
export function explain(refusal) {
  const errors = (refusal.errors ?? []).slice(0, 20);
  return [
    element("p", {}, refusal.message),
    errors.length ? element("ul", {}, errors.map((each) => element("li", {}, each))) : null,
  ];
}

export class Stage {
  #leaving = new AbortController();
  #beats = [];
  #beating = false;

  constructor(onKeyRefused) {
    this.onKeyRefused = onKeyRefused;
    this.timer = setInterval(() => this.#beat(), BEAT_MS);
    this.onVisible = () => this.#beat();
    document.addEventListener("visibilitychange", this.onVisible);
  }

  /** Ends with the visit: hand it to every request. */
  get signal() {
    return this.#leaving.signal;
  }

  get isLeft() {
    return this.#leaving.signal.aborted;
  }

  leave() {
    this.#leaving.abort();
    clearInterval(this.timer);
    document.removeEventListener("visibilitychange", this.onVisible);
  }

  title(text) {
    byId("title").textContent = text;
    document.title = text === NAME ? NAME : `${text} - ${NAME}`;
  }

  put(...children) {
    if (!this.isLeft) replace(byId("view"), ...children);
  }

  /** Calls something now and with every beat while the page is seen. A failure is told, and tried again. */
  async repeat(refresh) {
    await refresh();
    this.#beats.push(refresh);
  }

  /** Lets everything that is repeated be done again now, after an action. */
  refresh() {
    return this.#beat();
  }

  /** Goes back to the form when a key was refused. True: the refusal is dealt with. */
  isSignedOutBy(error) {
    if (this.isLeft) return true;
    if (!(error instanceof KeyRefused)) return false;
    this.onKeyRefused(error.message);
    return true;
  }

  async #beat() {
    if (document.visibilityState !== "visible" || this.#beating || this.isLeft) return;
    this.#beating = true;
    try {
      retell();
      for (const refresh of this.#beats) await refresh();
      complain("");
    } catch (error) {
      if (!this.isSignedOutBy(error)) {
        complain(`Not up to date: ${error.message} It is tried again every ${BEAT_MS / 1000} seconds.`);
      }
    } finally {
      this.#beating = false;
    }
  }
}

/** When the accounts were counted: now for few, some minutes ago for many; of several applications the oldest count. */
export function countedAt(reports) {
  if (reports.some((each) => each.counted_at === null)) return "The accounts are being counted for the first time; the numbers still grow.";
  const [oldest] = reports.map((each) => each.counted_at).sort();
  return oldest ? `Counted at ${timeOfDay(oldest)}.` : "";
}
