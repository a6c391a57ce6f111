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
    const socket = openSocket("/events");
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

/** Opens a WebSocket to a path on the page's own host, with the page's secret. */
export function openSocket(path: string): WebSocket {
  const secret = pageSecret();
  return new WebSocket(`ws://${window.location.host}${path}`, ["etatuki", `secret.${secret}`]);
}

/**
 * Returns the secret that came behind the first address's `#`, which no server is sent. The page's
 * storage is its own port's alone, as cookies aren't.
 */
function pageSecret(): string {
  const [, secret] = window.location.hash.split("#secret=");
  if (secret) {
    window.localStorage.setItem("secret", secret);
    window.history.replaceState(null, "", window.location.pathname);
  }
  return window.localStorage.getItem("secret") ?? "none";
}
