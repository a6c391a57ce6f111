// The WebSocket to the console program: JSON in both directions, reconnected for as long as the
// page is open.

import type { FromConsole, ToConsole } from "./protocol.ts";

/** Delay before a reconnection; doubled after each failed one. */
const INITIAL_RETRY_MS = 250;
const MAX_RETRY_MS = 5000;

export class EventSocket {
  #socket: WebSocket | null = null;
  #retryDelay = INITIAL_RETRY_MS;
  readonly #onMessage: (message: FromConsole) => void;
  readonly #onConnectionChange: (connected: boolean) => void;

  constructor(onMessage: (message: FromConsole) => void, onConnectionChange: (connected: boolean) => void) {
    this.#onMessage = onMessage;
    this.#onConnectionChange = onConnectionChange;
    this.#connect();
  }

  /** Sends a message. Returns false while the console program can't be reached. */
  send(message: ToConsole): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      return false;
    }
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #connect(): void {
    const socket = new WebSocket(socketUrl("/events"));
    this.#socket = socket;
    socket.onopen = () => {
      this.#retryDelay = INITIAL_RETRY_MS;
      this.#onConnectionChange(true);
    };
    socket.onmessage = (event) => this.#onMessage(JSON.parse(String(event.data)) as FromConsole);
    socket.onclose = () => {
      this.#onConnectionChange(false);
      window.setTimeout(() => this.#connect(), this.#retryDelay);
      this.#retryDelay = Math.min(this.#retryDelay * 2, MAX_RETRY_MS);
    };
  }
}

/** Returns the WebSocket address of a path on the page's own host. */
export function socketUrl(path: string): string {
  return `ws://${window.location.host}${path}`;
}
