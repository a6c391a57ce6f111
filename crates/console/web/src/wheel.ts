// The wheel over the picture. RFB knows turns of a wheel only, and noVNC sends one for each event,
// however far the event goes. Here each event becomes as many turns as it is long.

/** Length of one turn of a mouse's wheel in a browser, in pixels: 100 to 120. */
const TURN_PX = 100;
/** Length of a turn in lines, where the browser counts these. */
const TURN_LINES = 3;
/** Length at which small steps, a touchpad's, add up to a turn: what programs scroll for one. */
const SMALL_STEPS_PX = 50;
/** Maximum number of turns for one event. */
const MAX_TURNS = 20;
/** A delta for which noVNC sends one turn. */
const NOVNC_STEP_PX = 50;

/** Counts turns along one axis. */
export class TurnCounter {
  /** Pixels of small steps that are no turn yet. */
  #rest = 0;

  /** Returns the turns for a step of so many pixels, with its sign. */
  count(pixels: number): number {
    if (Math.abs(pixels) >= TURN_PX) {
      this.#rest = 0;
      const turns = Math.round(pixels / TURN_PX);
      return Math.max(-MAX_TURNS, Math.min(MAX_TURNS, turns));
    }
    if (Math.sign(pixels) !== Math.sign(this.#rest)) {
      this.#rest = 0;
    }
    this.#rest += pixels;
    if (Math.abs(this.#rest) < SMALL_STEPS_PX) {
      return 0;
    }
    const turn = Math.sign(this.#rest);
    this.#rest = 0;
    return turn;
  }
}

/** Returns the length of a delta in pixels; `page` is the length of a page. */
export function toPixels(delta: number, mode: number, page: number): number {
  switch (mode) {
    case 1: // DOM_DELTA_LINE: a wheel's, and never less than a turn
      return Math.sign(delta) * Math.max(TURN_PX, (Math.abs(delta) * TURN_PX) / TURN_LINES);
    case 2: // DOM_DELTA_PAGE
      return delta * page;
    default:
      return delta;
  }
}

/** Turns the wheel at the customer's as far as the agent's browser says. */
export class Wheel {
  readonly #across = new TurnCounter();
  readonly #down = new TurnCounter();
  /** Our own events, for noVNC. */
  readonly #ours = new WeakSet<Event>();

  constructor(container: HTMLElement, isOn: () => boolean) {
    const listener = (event: WheelEvent): void => {
      const canvas = event.target;
      if (this.#ours.has(event) || !isOn() || !(canvas instanceof HTMLCanvasElement)) {
        return;
      }
      event.preventDefault();
      event.stopImmediatePropagation();
      this.#turn(canvas, event);
    };
    container.addEventListener("wheel", listener, { capture: true, passive: false });
  }

  #turn(canvas: HTMLCanvasElement, event: WheelEvent): void {
    // Firefox counts in lines only if the mode is read before the deltas.
    const mode = event.deltaMode;
    const across = this.#across.count(toPixels(event.deltaX, mode, canvas.clientWidth));
    const down = this.#down.count(toPixels(event.deltaY, mode, canvas.clientHeight));
    this.#send(canvas, event, across, { deltaX: Math.sign(across) * NOVNC_STEP_PX });
    this.#send(canvas, event, down, { deltaY: Math.sign(down) * NOVNC_STEP_PX });
  }

  #send(canvas: HTMLCanvasElement, event: WheelEvent, turns: number, delta: WheelEventInit): void {
    const { clientX, clientY, buttons } = event;
    for (let left = Math.abs(turns); left > 0; left -= 1) {
      const one = new WheelEvent("wheel", {
        clientX, clientY, buttons, ...delta, bubbles: true, cancelable: true,
      });
      this.#ours.add(one);
      canvas.dispatchEvent(one);
    }
  }
}
