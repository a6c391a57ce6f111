// The case number and a note of the agent's own. They stay in this tab until the next code, through
// a reload too, and are copied with the log.

import { byId } from "./dom.ts";
import { t } from "./texts.ts";

const KEY = "etatuki-case";

interface Stored {
  /** The session's number, and when its log began: a console that was restarted counts anew. */
  session: string;
  number: string;
  note: string;
}

export class CaseNote {
  readonly #number = byId("case-number", HTMLInputElement);
  readonly #note = byId("case-note", HTMLTextAreaElement);
  #session = "";

  constructor() {
    for (const field of [this.#number, this.#note]) {
      field.addEventListener("input", () => this.#store());
    }
  }

  /** Shows the fields of a session, empty for a new one. */
  update(session: string): void {
    if (session === this.#session) {
      return;
    }
    this.#session = session;
    const stored = JSON.parse(sessionStorage.getItem(KEY) ?? "null") as Stored | null;
    const known = stored?.session === session ? stored : null;
    this.#number.value = known?.number ?? "";
    this.#note.value = known?.note ?? "";
  }

  /** Returns what was written, for the copy of the log: above it and below it. */
  lines(): { above: string[]; below: string[] } {
    const [number, note] = [this.#number.value.trim(), this.#note.value.trim()];
    return {
      above: number === "" ? [] : [`${t("case.number")}: ${number}`],
      below: note === "" ? [] : ["", note],
    };
  }

  #store(): void {
    const stored: Stored = { session: this.#session, number: this.#number.value, note: this.#note.value };
    sessionStorage.setItem(KEY, JSON.stringify(stored));
  }
}
