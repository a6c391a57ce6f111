// Which tab of this browser shows the picture. Its tab holds a lock, which the browser takes away
// with the tab; so a tab that was replaced learns when the picture is free again (Web Locks API).

const LOCK = "etatuki-picture";

export class PictureTurn {
  readonly #onFree: () => void;
  #release: (() => void) | null = null;
  #waiting = false;

  /** `onFree` is called when another tab that showed the picture is gone. */
  constructor(onFree: () => void) {
    this.#onFree = onFree;
  }

  /** Asks for the lock, and keeps it once it is free. */
  take(): void {
    if (this.#waiting || this.#release !== null || navigator.locks === undefined) {
      return;
    }
    this.#waiting = true;
    void navigator.locks.request(LOCK, () => {
      this.#waiting = false;
      this.#onFree();
      return new Promise<void>((resolve) => { this.#release = resolve; });
    });
  }

  /** Gives the lock to the tab that has taken the picture. */
  give(): void {
    this.#release?.();
    this.#release = null;
  }
}
