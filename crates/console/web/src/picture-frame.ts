// The picture's layout: the whole desktop or one of its screens, scaled to fit or pixel for pixel,
// with the customer's pointer drawn on it.
//
// noVNC draws the whole desktop into the element that it is given, and computes mouse positions
// from where its canvas is. A single screen is therefore shown through a viewport of that screen's
// size. The surface behind the viewport is moved and enlarged, so mouse positions stay right
// without noVNC's knowledge.

import type { Desktop, Screen } from "./protocol.ts";

interface Point {
  x: number;
  y: number;
}

export class PictureFrame {
  /** The element that noVNC draws into. */
  readonly surface = document.createElement("div");
  readonly #container: HTMLElement;
  readonly #viewport = document.createElement("div");
  readonly #pointer = document.createElement("div");
  #desktop: Desktop | null = null;
  #screen: Screen | null = null;
  #fit = true;
  /** The customer's pointer in pixels of the desktop; `null` while hidden. */
  #pointerPosition: Point | null = null;

  constructor(container: HTMLElement) {
    this.#container = container;
    this.#viewport.className = "viewport";
    this.surface.className = "surface";
    this.#pointer.className = "customer-pointer";
    this.#pointer.dataset["testid"] = "customer-pointer";
    this.#pointer.hidden = true;
    this.#viewport.append(this.surface, this.#pointer);
    container.append(this.#viewport);
    new ResizeObserver(() => this.#layOut()).observe(container);
    // noVNC observes the surface's size too and scales its canvas first.
    new ResizeObserver(() => this.#drawPointer()).observe(this.surface);
    // The surface scrolls when it is shown pixel for pixel.
    this.surface.addEventListener("scroll", () => this.#drawPointer(), { capture: true });
  }

  /** Shows one screen by its number, or the whole desktop for 0. */
  show(desktop: Desktop | null, number: number): void {
    this.#desktop = desktop;
    this.#screen = desktop?.screens[number - 1] ?? null;
    this.#container.dataset["screen"] = this.#screen === null ? "all" : String(number);
    this.#layOut();
  }

  set fit(fit: boolean) {
    this.#fit = fit;
    this.#layOut();
  }

  /**
   * Whether noVNC must scale the desktop to the surface. False when the container scrolls over the
   * whole desktop.
   */
  get scalesToSurface(): boolean {
    return this.#fit || this.#screen !== null;
  }

  /** Draws the customer's pointer at a position in the desktop; `null` hides it. */
  showPointer(position: Point | null): void {
    this.#pointerPosition = position;
    this.#drawPointer();
  }

  #layOut(): void {
    const [desktop, screen] = [this.#desktop, this.#screen];
    if (desktop === null || screen === null) {
      this.#viewport.removeAttribute("style");
      this.surface.removeAttribute("style");
      this.#drawPointer();
      return;
    }
    const zoom = this.#fit
      ? Math.min(this.#container.clientWidth / screen.width, this.#container.clientHeight / screen.height)
      : 1;
    setPixels(this.#viewport, { width: screen.width * zoom, height: screen.height * zoom });
    setPixels(this.surface, {
      left: -screen.x * zoom,
      top: -screen.y * zoom,
      width: desktop.width * zoom,
      height: desktop.height * zoom,
    });
    this.#drawPointer();
  }

  #drawPointer(): void {
    const canvas = this.surface.querySelector("canvas");
    const position = this.#pointerPosition;
    if (position === null || canvas === null || canvas.width === 0) {
      this.#pointer.hidden = true;
      return;
    }
    const [shown, viewport] = [canvas.getBoundingClientRect(), this.#viewport.getBoundingClientRect()];
    setPixels(this.#pointer, {
      left: shown.left - viewport.left + (position.x + 0.5) * shown.width / canvas.width,
      top: shown.top - viewport.top + (position.y + 0.5) * shown.height / canvas.height,
    });
    this.#pointer.hidden = false;
  }
}

/** Sets style properties in pixels. */
function setPixels(element: HTMLElement, properties: Record<string, number>): void {
  for (const [property, pixels] of Object.entries(properties)) {
    element.style.setProperty(property, `${pixels}px`);
  }
}
