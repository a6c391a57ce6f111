// Text to and from the customer's clipboard. Each direction needs a press of its button: the
// agent's clipboard holds other customers' data, so nothing is sent by itself.

import { byId, setText, show } from "./dom.ts";
import { plural, t } from "./texts.ts";

/** Bytes of UTF-8; MAX_CLIPBOARD of the link's protocol. */
const MAX_BYTES = 1 << 20;

export class Clipboard {
  readonly #section = byId("clipboard", HTMLElement);
  readonly #sendButton = byId("clipboard-send", HTMLButtonElement);
  readonly #takeButton = byId("clipboard-take", HTMLButtonElement);
  readonly #note = byId("clipboard-note", HTMLElement);
  readonly #send: (text: string) => boolean;
  #received: string | null = null;

  constructor(send: (text: string) => boolean) {
    this.#send = send;
    this.#sendButton.addEventListener("click", () => void this.#sendAgentsText());
    this.#takeButton.addEventListener("click", () => void this.#takeCustomersText());
  }

  /** Shows the buttons when a text would pass: with control, and where the backend has a clipboard. */
  update(offered: boolean): void {
    show(this.#section, offered);
    if (!offered) {
      this.#received = null;
      this.#takeButton.disabled = true;
      setText(this.#note, "");
    }
  }

  /**
   * Keeps the text that the customer copied, until the agent takes it. An empty one says that the
   * clipboard now holds something that can't be taken: an older text is not what the customer means.
   */
  offer(text: string): void {
    if (text === "") {
      this.#received = null;
      this.#takeButton.disabled = true;
      setText(this.#note, t("clipboard.cannot-take"));
      return;
    }
    this.#received = text;
    this.#takeButton.disabled = false;
    setText(this.#note, plural("clipboard.offered", characters(text)));
  }

  async #sendAgentsText(): Promise<void> {
    try {
      const text = await navigator.clipboard.readText();
      if (new TextEncoder().encode(text).length > MAX_BYTES) {
        setText(this.#note, t("clipboard.too-long"));
      } else if (text === "") {
        setText(this.#note, t("clipboard.empty"));
      } else if (this.#send(text)) {
        setText(this.#note, plural("clipboard.sent", characters(text)));
      }
    } catch {
      setText(this.#note, t("clipboard.not-read"));
    }
  }

  async #takeCustomersText(): Promise<void> {
    if (this.#received === null) {
      return;
    }
    try {
      await navigator.clipboard.writeText(this.#received);
      setText(this.#note, plural("clipboard.copied", characters(this.#received)));
    } catch {
      setText(this.#note, t("clipboard.not-written"));
    }
  }
}

function characters(text: string): number {
  return [...text].length;
}
