// The line to the console's program: JSON both ways, dialled again for as long as the page is open.

import type { FromConsole, ToConsole } from "./protocol.ts";

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5000;

export class Line {
  #socket: WebSocket | null = null;
  #wait = FIRST_WAIT_MS;
  readonly #onMessage: (message: FromConsole) => void;
  readonly #onUp: (up: boolean) => void;

  constructor(onMessage: (message: FromConsole) => void, onUp: (up: boolean) => void) {
    this.#onMessage = onMessage;
    this.#onUp = onUp;
    this.#dial();
  }

  /** False when the console's program can't be reached just now. */
  send(message: ToConsole): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      return false;
    }
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #dial(): void {
    const socket = new WebSocket(socketUrl("/events"));
    this.#socket = socket;
    socket.onopen = () => {
      this.#wait = FIRST_WAIT_MS;
      this.#onUp(true);
    };
    socket.onmessage = (event) => this.#onMessage(JSON.parse(String(event.data)) as FromConsole);
    socket.onclose = () => {
      this.#onUp(false);
      window.setTimeout(() => this.#dial(), this.#wait);
      this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
    };
  }
}

export function socketUrl(path: string): string {
  return `ws://${window.location.host}${path}`;
}
