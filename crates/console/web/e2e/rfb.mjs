// The smallest RFB server that noVNC shows a picture of (RFC 6143), inside the page: version 3.8, no
// security, one grey screen of 640×400 in Raw.

/** Runs in the page, before its scripts: sockets to /rfb end here. */
export function serveRfb() {
  const [width, height] = [640, 400];

  class RfbSocket extends EventTarget {
    binaryType = "arraybuffer";
    protocol = "";
    readyState = 0;
    onopen = null;
    onmessage = null;
    onerror = null;
    onclose = null;
    #messages = 0;

    constructor() {
      super();
      setTimeout(() => {
        this.readyState = 1;
        this.onopen?.(new Event("open"));
        this.#answer([..."RFB 003.008\n"].map((letter) => letter.charCodeAt(0)));
      });
    }

    send() {
      this.#messages += 1;
      const answers = [[1, 1], [0, 0, 0, 0], serverInit(), update()];
      const answer = answers[this.#messages - 1];
      if (answer !== undefined) {
        this.#answer(answer);
      }
    }

    close() {
      this.readyState = 3;
      setTimeout(() => this.onclose?.(new CloseEvent("close", { code: 1000, wasClean: true })));
    }

    #answer(bytes) {
      setTimeout(() => this.onmessage?.(new MessageEvent("message", { data: new Uint8Array(bytes).buffer })));
    }
  }

  const Original = window.WebSocket;
  const dispatch = function (url, ...rest) {
    return String(url).endsWith("/rfb") ? new RfbSocket() : new Original(url, ...rest);
  };
  window.WebSocket = Object.assign(dispatch, { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 });

  const pair = (number) => [number >> 8, number & 255];

  function serverInit() {
    // 32 bits, depth 24, little endian, true colour, 8 bits each at 16, 8 and 0; a name of 4 bytes.
    return [...pair(width), ...pair(height), 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0,
      0, 0, 0, 4, 116, 101, 115, 116];
  }

  function update() {
    const head = [0, 0, 0, 1, 0, 0, 0, 0, ...pair(width), ...pair(height), 0, 0, 0, 0];
    return [...head, ...new Uint8Array(width * height * 4).fill(0x90)];
  }
}
