// How the picture lies in its room: all of it or one screen, fitted or pixel for pixel; and the customer's pointer on it.
//
// noVNC draws the whole desktop into the sheet that it is given, and finds the mouse by where its canvas is. So a single
// screen is shown by a window that is as large as that screen, and a sheet behind it that is moved and made large enough:
// the mouse stays right without noVNC knowing.

import type { Desktop, Screen } from "./protocol.ts";

export class Frame {
  /** What noVNC draws into. */
  readonly sheet = document.createElement("div");
  readonly #room: HTMLElement;
  readonly #window = document.createElement("div");
  readonly #pointer = document.createElement("div");
  #desktop: Desktop | null = null;
  #screen: Screen | null = null;
  #fit = true;
  #place: { x: number; y: number } | null = null;

  constructor(room: HTMLElement) {
    this.#room = room;
    this.#window.className = "window";
    this.sheet.className = "sheet";
    this.#pointer.className = "customer-pointer";
    this.#pointer.dataset["testid"] = "customer-pointer";
    this.#pointer.hidden = true;
    this.#window.append(this.sheet, this.#pointer);
    room.append(this.#window);
    new ResizeObserver(() => this.#lay()).observe(room);
    // noVNC scales its canvas after its own look at the sheet's size.
    new ResizeObserver(() => this.#point()).observe(this.sheet);
    // Scrolling inside the sheet, at one pixel for each.
    this.sheet.addEventListener("scroll", () => this.#point(), { capture: true });
  }

  /** Shows the screen of that number alone, or all of the desktop for 0. */
  show(desktop: Desktop | null, number: number): void {
    this.#desktop = desktop;
    this.#screen = desktop?.screens[number - 1] ?? null;
    this.#room.dataset["screen"] = this.#screen === null ? "all" : String(number);
    this.#lay();
  }

  set fit(fit: boolean) {
    this.#fit = fit;
    this.#lay();
  }

  /** noVNC fits the desktop into the sheet; it needn't only when the room scrolls over all of it. */
  get scales(): boolean {
    return this.#fit || this.#screen !== null;
  }

  /** The customer moved the pointer there; `null` hides it. */
  point(place: { x: number; y: number } | null): void {
    this.#place = place;
    this.#point();
  }

  #lay(): void {
    const [desktop, screen] = [this.#desktop, this.#screen];
    if (desktop === null || screen === null) {
      this.#window.removeAttribute("style");
      this.sheet.removeAttribute("style");
      this.#point();
      return;
    }
    const zoom = this.#fit
      ? Math.min(this.#room.clientWidth / screen.width, this.#room.clientHeight / screen.height)
      : 1;
    place(this.#window, { width: screen.width * zoom, height: screen.height * zoom });
    place(this.sheet, {
      left: -screen.x * zoom,
      top: -screen.y * zoom,
      width: desktop.width * zoom,
      height: desktop.height * zoom,
    });
    this.#point();
  }

  #point(): void {
    const canvas = this.sheet.querySelector("canvas");
    const at = this.#place;
    if (at === null || canvas === null || canvas.width === 0) {
      this.#pointer.hidden = true;
      return;
    }
    const [seen, window] = [canvas.getBoundingClientRect(), this.#window.getBoundingClientRect()];
    place(this.#pointer, {
      left: seen.left - window.left + (at.x + 0.5) * seen.width / canvas.width,
      top: seen.top - window.top + (at.y + 0.5) * seen.height / canvas.height,
    });
    this.#pointer.hidden = false;
  }
}

function place(element: HTMLElement, edges: Record<string, number>): void {
  for (const [edge, pixels] of Object.entries(edges)) {
    element.style.setProperty(edge, `${pixels}px`);
  }
}
