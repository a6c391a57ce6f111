// The choice between all of the customer's screens and one of them. It is there only where there is more than one.

import { byId, element, show } from "./dom.ts";
import type { Desktop } from "./protocol.ts";

/** With more of them the bar has room for their numbers only. */
const MOST_NAMED = 3;

export class Screens {
  readonly #choice = byId("screens", HTMLElement);
  readonly #onChoice: (desktop: Desktop | null, number: number) => void;
  #known = "";
  #desktop: Desktop | null = null;

  /** `onChoice` gets the desktop and the number of a screen in it, or 0 for all of them. */
  constructor(onChoice: (desktop: Desktop | null, number: number) => void) {
    this.#onChoice = onChoice;
  }

  /** Another desktop, or another session's, shows all of it again: who knows what the numbers mean there. */
  update(desktop: Desktop | null, session: number): void {
    const known = JSON.stringify([desktop, session]);
    if (known === this.#known) {
      return;
    }
    this.#known = known;
    this.#desktop = desktop;
    const count = desktop?.screens.length ?? 0;
    const names = count > 1 ? ["All", ...Array.from({ length: count }, (_, at) => `Screen ${at + 1}`)] : [];
    const short = count > MOST_NAMED;
    const focused = this.#choice.contains(document.activeElement);
    this.#choice.replaceChildren(...names.map((name, number) => this.#button(name, number, short)));
    show(this.#choice, count > 1);
    this.choose(0);
    if (focused) {
      this.#choice.querySelector("button")?.focus();
    }
  }

  /** All of it for 0, else the screen of that number; nothing where there is none. */
  choose(number: number): void {
    const count = this.#desktop?.screens.length ?? 0;
    if (number > 0 && (count < 2 || number > count)) {
      return;
    }
    [...this.#choice.children].forEach((button, at) =>
      button.setAttribute("aria-pressed", String(at === number)));
    this.#onChoice(this.#desktop, number);
  }

  #button(name: string, number: number, short: boolean): HTMLElement {
    const button = element("button", {
      "data-testid": `screen-${number}`,
      "aria-label": name,
      title: number < 10 ? `${name}: Ctrl+Alt+Shift+${number}` : name,
    }, short && number > 0 ? String(number) : name);
    button.addEventListener("click", () => this.choose(number));
    return button;
  }
}
