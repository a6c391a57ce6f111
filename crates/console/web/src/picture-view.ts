// The customer's screen: noVNC on its own socket, attached and detached as the permissions change.

import RFB from "@novnc/novnc";
import { openSocket } from "./event-socket.ts";
import { HeldInput } from "./held-input.ts";
import { PictureFrame } from "./picture-frame.ts";
import { PictureTurn } from "./picture-turn.ts";
import type { Desktop } from "./protocol.ts";
import { Wheel } from "./wheel.ts";

const RETRY_DELAY_MS = 500;
/** WebSocket close code: another tab has taken the viewer's place (src/web/picture.rs). */
const CLOSE_REPLACED = 4001;

export type PictureState = "none" | "opening" | "shown" | "elsewhere";

export class PictureView {
  #viewer: RFB | null = null;
  #visible = false;
  #control = false;
  /** The retry timer's id; 0 while no retry is due. */
  #retry = 0;
  readonly #frame: PictureFrame;
  readonly #held: HeldInput;
  readonly #turn = new PictureTurn(() => this.takeBack());
  readonly #onState: (state: PictureState) => void;
  #state: PictureState = "none";

  constructor(container: HTMLElement, onState: (state: PictureState) => void) {
    this.#frame = new PictureFrame(container);
    this.#held = new HeldInput(container);
    new Wheel(container, () => this.#control);
    // With control, the customer's pointer follows the agent's own: a second arrow would only
    // confuse.
    container.addEventListener("mousemove", () => this.#control && this.#frame.showPointer(null));
    this.#onState = onState;
  }

  get state(): PictureState {
    return this.#state;
  }

  /** Shows or removes the picture; with `control`, keys and mouse are sent. */
  update(visible: boolean, control: boolean): void {
    this.#visible = visible;
    const gained = control && !this.#control;
    this.#control = control;
    if (visible && this.#state === "none" && this.#retry === 0) {
      this.#attach();
    } else if (!visible) {
      this.#detach("none");
    }
    if (this.#viewer !== null) {
      this.#viewer.viewOnly = !control;
      if (gained) {
        this.focus();
      } else if (!control) {
        this.#viewer.blur();
      }
    }
  }

  /** Whether the picture has the keyboard. */
  get hasFocus(): boolean {
    return this.#frame.surface.contains(document.activeElement);
  }

  /** Takes the picture back from the tab that replaced this one. */
  takeBack(): void {
    if (this.#state === "elsewhere" && this.#visible) {
      this.#attach();
    }
  }

  set fit(fit: boolean) {
    this.#frame.fit = fit;
    this.#updateScaling();
  }

  /** Shows one screen of the desktop by its number, or the whole desktop for 0. */
  showScreen(desktop: Desktop | null, number: number): void {
    this.#frame.show(desktop, number);
    this.#updateScaling();
  }

  /** Shows where the customer has moved the pointer, in pixels of the desktop. */
  showPointer(x: number, y: number): void {
    this.#frame.showPointer({ x, y });
  }

  #updateScaling(): void {
    if (this.#viewer !== null) {
      this.#viewer.scaleViewport = this.#frame.scalesToSurface;
    }
  }

  focus(): void {
    this.#viewer?.focus({ preventScroll: true });
  }

  blur(): void {
    this.#viewer?.blur();
  }

  /** Lets go of every key and mouse button at the customer's. */
  releaseInput(): void {
    this.#held.release();
  }

  sendCtrlAltDel(): void {
    this.#viewer?.sendCtrlAltDel();
    this.focus();
  }

  #attach(): void {
    // Asked for before the other tab is replaced: that one asks again behind this one.
    this.#turn.take();
    const socket = openSocket("/rfb");
    let replaced = false;
    // Registered before noVNC's own listener, so that the close code is known at noVNC's
    // "disconnect".
    socket.addEventListener("close", (event) => {
      replaced = event.code === CLOSE_REPLACED;
    });
    const viewer = new RFB(this.#frame.surface, socket, { shared: true });
    viewer.viewOnly = !this.#control;
    viewer.scaleViewport = this.#frame.scalesToSurface;
    viewer.background = "transparent";
    viewer.showDotCursor = true;
    viewer.addEventListener("connect", () => {
      this.#setState("shown");
      if (this.#control) {
        this.focus();
      }
    });
    viewer.addEventListener("disconnect", () => {
      if (viewer === this.#viewer) {
        this.#onDisconnect(replaced);
      }
    });
    this.#viewer = viewer;
    this.#setState("opening");
  }

  #detach(state: PictureState): void {
    window.clearTimeout(this.#retry);
    this.#retry = 0;
    const viewer = this.#viewer;
    this.#viewer = null;
    viewer?.disconnect();
    this.#frame.surface.replaceChildren();
    this.#frame.showPointer(null);
    this.#setState(state);
  }

  #onDisconnect(replaced: boolean): void {
    this.#viewer = null;
    this.#detach(replaced ? "elsewhere" : "none");
    if (replaced) {
      this.#turn.give();
      // Behind the tab that has the picture now: it comes back when that tab is gone.
      this.#turn.take();
      return;
    }
    this.#retry = window.setTimeout(() => {
      this.#retry = 0;
      if (this.#visible && this.#state === "none") {
        this.#attach();
      }
    }, RETRY_DELAY_MS);
  }

  #setState(state: PictureState): void {
    if (state !== this.#state) {
      this.#state = state;
      this.#onState(state);
    }
  }
}
