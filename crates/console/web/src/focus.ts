// Where the keyboard's focus goes when the element that had it is gone.

import { byId } from "./dom.ts";
import type { PictureView } from "./picture-view.ts";
import type { Snapshot } from "./protocol.ts";

export class Focus {
  readonly #wait = byId("wait", HTMLElement);
  readonly #askView = byId("ask-view", HTMLButtonElement);
  readonly #askControl = byId("ask-control", HTMLButtonElement);
  readonly #picture: PictureView;

  constructor(picture: PictureView) {
    this.#picture = picture;
  }

  /**
   * Gives a lost focus to the picture with control, else to the button that is wanted next. Enter
   * never ends anything by it.
   */
  keep(snapshot: Snapshot | null): void {
    if ((snapshot?.phase !== "connected" && snapshot?.phase !== "interrupted") || !this.#isLost() || document.querySelector("dialog[open]") !== null) {
      return;
    }
    if (snapshot.session?.permissions.control === true && this.#picture.state === "shown") {
      this.#picture.focus();
    } else {
      const wanted = [this.#askView, this.#wait].find((target) => !target.hidden);
      (wanted ?? this.#askControl).focus();
    }
  }

  #isLost(): boolean {
    const { activeElement } = document;
    // A hidden element loses the focus a moment later; then it is with the body.
    return activeElement === null || activeElement === document.body || activeElement === this.#wait ||
      activeElement.getClientRects().length === 0;
  }
}
