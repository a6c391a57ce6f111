// Shows whether the picture is true: a sentence above it, its age in the bar, and a dimmed picture
// that may be old.

import { byId, setText, show } from "./dom.ts";
import { bytes, lineText } from "./panel.ts";
import { pictureTruth } from "./picture-truth.ts";
import type { Session, Traffic } from "./protocol.ts";
import { t } from "./texts.ts";

export class Freshness {
  readonly #notice = byId("screen-notice", HTMLElement);
  readonly #text = byId("screen-text", HTMLElement);
  /** Beside the sentence, and no part of what is read out: it counts. */
  readonly #age = byId("screen-age", HTMLElement);
  readonly #current = byId("current", HTMLElement);
  readonly #line = byId("line", HTMLElement);
  readonly #picture = byId("picture", HTMLElement);
  /** The session whose picture is shown. */
  #session: Session | null = null;
  #traffic: Traffic | null = null;
  /** Unix time in milliseconds at which the customer's end was last heard; null before that. */
  #heardAt: number | null = null;
  /** Bytes a second from the customer, of the last report. */
  #rate = 0;
  #reportedAt = 0;

  /** Takes the session in; null unless one is connected and its picture is seen. */
  update(session: Session | null): void {
    this.#session = session;
    this.tick();
  }

  onTraffic(traffic: Traffic): void {
    const now = Date.now();
    const before = this.#traffic;
    const time = now - this.#reportedAt;
    this.#rate = before === null || time <= 0 ? 0
      : Math.max(0, (traffic.received - before.received) * 1000 / time);
    this.#traffic = traffic;
    this.#reportedAt = now;
    if (traffic.heard) {
      this.#heardAt = now;
    }
    this.#drawLine();
    this.tick();
  }

  /** The line is down, or another one: what was said about it counts no longer. */
  reset(): void {
    this.#traffic = null;
    this.#heardAt = null;
    this.#drawLine();
    this.tick();
  }

  /** Redraws what counts seconds. */
  tick(): void {
    const session = this.#session;
    const truth = session === null ? { notice: null, age: null } : pictureTruth(session, this.#heardAt, Date.now());
    show(this.#notice, truth.notice !== null);
    setText(this.#text, truth.notice ?? "");
    setText(this.#age, truth.age === null ? "" : `${this.#slowness()} ${t("screen.old", { seconds: truth.age })}`);
    this.#picture.dataset["stale"] = String(truth.age !== null);
    show(this.#current, session !== null && this.#heardAt !== null && truth.age === null);
  }

  /** Returns round trip and rate of a slow line. */
  #slowness(): string {
    const ms = this.#traffic?.round_trip_ms ?? null;
    const slow = this.#session?.screen.condition === "line-slow";
    return ms === null || !slow ? "" : t("screen.slowness", { ms, rate: bytes(this.#rate) });
  }

  #drawLine(): void {
    show(this.#line, this.#traffic !== null);
    if (this.#traffic !== null) {
      const { text, title } = lineText(this.#traffic);
      setText(this.#line, text);
      this.#line.title = title;
    }
  }
}
