// Keys and mouse buttons that the agent holds in the picture. noVNC hears a release only while its
// canvas has the keyboard, so everything is let go whenever the picture loses it.

export class HeldInput {
  readonly #container: HTMLElement;
  /** The mouse's last position in the window. */
  #mouse = { clientX: 0, clientY: 0 };

  constructor(container: HTMLElement) {
    this.#container = container;
    // Focus moves to a button, to a dialog, or nowhere.
    container.addEventListener("focusout", () => this.release());
    // Another window, another tab, a dialog of the browser's own, or the end of the page. noVNC hears
    // a window's blur by itself, but not the mouse's buttons.
    window.addEventListener("blur", () => this.#releaseButtons());
    window.addEventListener("pagehide", () => this.release());
    window.addEventListener("beforeunload", () => this.release());
    document.addEventListener("visibilitychange", () => this.release());
    document.addEventListener("fullscreenchange", () => this.release());
    for (const type of ["mousemove", "mousedown"] as const) {
      window.addEventListener(type, (event) => {
        this.#mouse = { clientX: event.clientX, clientY: event.clientY };
      }, { capture: true });
    }
  }

  /** Lets go of every key and button at the customer's. */
  release(): void {
    // noVNC releases its keys when the window loses the focus.
    window.dispatchEvent(new FocusEvent("blur"));
  }

  /** noVNC follows a pressed mouse in the whole window; so a release anywhere is one in the picture. */
  #releaseButtons(): void {
    if (this.#container.querySelector("canvas") !== null) {
      window.dispatchEvent(new MouseEvent("mouseup", { ...this.#mouse, buttons: 0 }));
    }
  }
}
