// The choice between the whole desktop and one of the customer's screens; hidden while there is
// only one screen.

import { byId, element, show } from "./dom.ts";
import type { Desktop } from "./protocol.ts";
import { t } from "./texts.ts";

/** Screens whose buttons carry a name; with more of them the bar has room for numbers only. */
const MAX_NAMED_BUTTONS = 3;

export class ScreenChoice {
  readonly #choice = byId("screens", HTMLElement);
  readonly #onChoice: (desktop: Desktop | null, number: number) => void;
  /** The desktop and session that the buttons were made for, as JSON. */
  #drawn = "";
  #desktop: Desktop | null = null;

  /**
   * `onChoice` gets the desktop and the number of one of its screens, or 0 for the whole desktop.
   */
  constructor(onChoice: (desktop: Desktop | null, number: number) => void) {
    this.#onChoice = onChoice;
  }

  /**
   * Redraws the buttons. A changed desktop or session shows the whole desktop: numbers may mean
   * other screens.
   */
  update(desktop: Desktop | null, session: number): void {
    const current = JSON.stringify([desktop, session]);
    if (current === this.#drawn) {
      return;
    }
    this.#drawn = current;
    this.#desktop = desktop;
    const count = desktop?.screens.length ?? 0;
    const names = count > 1 ? [
      t("bar.all-screens"), ...Array.from({ length: count }, (_, index) => t("bar.screen", { number: index + 1 })),
    ] : [];
    const short = count > MAX_NAMED_BUTTONS;
    const focused = this.#choice.contains(document.activeElement);
    this.#choice.replaceChildren(...names.map((name, number) => this.#button(name, number, short)));
    show(this.#choice, count > 1);
    this.choose(0);
    if (focused) {
      this.#choice.querySelector("button")?.focus();
    }
  }

  /**
   * Chooses a screen by its number, or the whole desktop for 0. Ignores numbers without a screen.
   */
  choose(number: number): void {
    const count = this.#desktop?.screens.length ?? 0;
    if (number > 0 && (count < 2 || number > count)) {
      return;
    }
    [...this.#choice.children].forEach((button, index) =>
      button.setAttribute("aria-pressed", String(index === number)));
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
