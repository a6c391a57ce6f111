// The customer's screen: noVNC on a socket of its own, attached and detached as the permissions say.

import RFB from "@novnc/novnc";
import { Frame } from "./frame.ts";
import type { Desktop } from "./protocol.ts";
import { socketUrl } from "./socket.ts";

const RETRY_MS = 500;
/** The console closes the socket with this when the picture was opened in another tab. */
const TAKEN_ELSEWHERE = 4001;

export type PictureState = "none" | "opening" | "shown" | "elsewhere";

export class Picture {
  #viewer: RFB | null = null;
  #wanted = false;
  #control = false;
  #retry = 0;
  readonly #frame: Frame;
  readonly #onState: (state: PictureState) => void;
  #state: PictureState = "none";

  constructor(room: HTMLElement, onState: (state: PictureState) => void) {
    this.#frame = new Frame(room);
    // Where the agent's own pointer acts, the customer's follows it.
    room.addEventListener("mousemove", () => this.#control && this.#frame.point(null));
    this.#onState = onState;
  }

  get state(): PictureState {
    return this.#state;
  }

  /** Shows the picture or takes it away; with `control`, keys and mouse are sent. */
  update(wanted: boolean, control: boolean): void {
    this.#wanted = wanted;
    const gained = control && !this.#control;
    this.#control = control;
    if (wanted && this.#state === "none" && this.#retry === 0) {
      this.#attach();
    } else if (!wanted) {
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

  /** Takes the picture back from the tab that it moved to. */
  takeBack(): void {
    if (this.#state === "elsewhere" && this.#wanted) {
      this.#attach();
    }
  }

  set fit(fit: boolean) {
    this.#frame.fit = fit;
    this.#scale();
  }

  /** Shows one screen of the desktop alone, or all of it for 0. */
  showScreen(desktop: Desktop | null, number: number): void {
    this.#frame.show(desktop, number);
    this.#scale();
  }

  /** The customer moved the pointer there. */
  point(x: number, y: number): void {
    this.#frame.point({ x, y });
  }

  #scale(): void {
    if (this.#viewer !== null) {
      this.#viewer.scaleViewport = this.#frame.scales;
    }
  }

  focus(): void {
    this.#viewer?.focus({ preventScroll: true });
  }

  blur(): void {
    this.#viewer?.blur();
  }

  sendCtrlAltDel(): void {
    this.#viewer?.sendCtrlAltDel();
    this.focus();
  }

  #attach(): void {
    const socket = new WebSocket(socketUrl("/rfb"));
    let taken = false;
    // Before noVNC listens, so that it is known when noVNC tells of the end.
    socket.addEventListener("close", (event) => {
      taken = event.code === TAKEN_ELSEWHERE;
    });
    const viewer = new RFB(this.#frame.sheet, socket, { shared: true });
    viewer.viewOnly = !this.#control;
    viewer.scaleViewport = this.#frame.scales;
    viewer.background = "transparent";
    viewer.showDotCursor = true;
    viewer.addEventListener("connect", () => {
      this.#enter("shown");
      if (this.#control) {
        this.focus();
      }
    });
    viewer.addEventListener("disconnect", () => {
      if (viewer === this.#viewer) {
        this.#lost(taken);
      }
    });
    this.#viewer = viewer;
    this.#enter("opening");
  }

  #detach(state: PictureState): void {
    window.clearTimeout(this.#retry);
    this.#retry = 0;
    const viewer = this.#viewer;
    this.#viewer = null;
    viewer?.disconnect();
    this.#frame.sheet.replaceChildren();
    this.#frame.point(null);
    this.#enter(state);
  }

  #lost(taken: boolean): void {
    this.#viewer = null;
    this.#detach(taken ? "elsewhere" : "none");
    if (taken) {
      return;
    }
    this.#retry = window.setTimeout(() => {
      this.#retry = 0;
      if (this.#wanted && this.#state === "none") {
        this.#attach();
      }
    }, RETRY_MS);
  }

  #enter(state: PictureState): void {
    if (state !== this.#state) {
      this.#state = state;
      this.#onState(state);
    }
  }
}
