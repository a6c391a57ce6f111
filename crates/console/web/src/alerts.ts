// What draws the agent's eye when the customer has done something: a notice in the page, a mark in
// the tab's title, and, if the agent wants them, a sound and a notification of the system.

import { byId, setText, show } from "./dom.ts";
import type { News } from "./news.ts";

/** Time for which a notice is shown. */
const TOAST_MS = 5000;
const SOUND_KEY = "etatuki-sound";
const NOTIFY_KEY = "etatuki-notify";

export class Alerts {
  readonly #toast = byId("toast", HTMLElement);
  readonly #sound = byId("sound", HTMLInputElement);
  readonly #notify = byId("notify", HTMLInputElement);
  readonly #denied = byId("notify-denied", HTMLElement);
  #timer = 0;
  #title = "";
  /** What happened while nobody looked. */
  #unseen: string | null = null;
  #audio: AudioContext | null = null;

  constructor() {
    this.#sound.checked = localStorage.getItem(SOUND_KEY) === "on";
    this.#notify.checked = localStorage.getItem(NOTIFY_KEY) === "on" && permission() === "granted";
    this.#sound.addEventListener("change", () => {
      localStorage.setItem(SOUND_KEY, this.#sound.checked ? "on" : "off");
      this.#beep();
    });
    this.#notify.addEventListener("change", () => void this.#notifyChanged());
    for (const type of ["focus", "visibilitychange", "pointerdown", "keydown"]) {
      window.addEventListener(type, () => this.#seen(), { capture: true });
    }
  }

  /** Sets the tab's title, to which the mark of something unseen is added. */
  set title(title: string) {
    this.#title = title;
    this.#drawTitle();
  }

  /** Shows a notice for some seconds, in the page alone. */
  show(text: string): void {
    window.clearTimeout(this.#timer);
    setText(this.#toast, text);
    show(this.#toast, true);
    this.#timer = window.setTimeout(() => show(this.#toast, false), TOAST_MS);
  }

  /** Takes the notice away: the page says something else now. */
  hide(): void {
    show(this.#toast, false);
  }

  /** Reports something that the customer did, with a notice unless the page says it already. */
  report({ text, notice }: News): void {
    if (notice === "with-notice") {
      this.show(text);
    }
    if (!document.hasFocus()) {
      this.#unseen = text;
      this.#drawTitle();
    }
    this.#beep();
    if (this.#notify.checked && !document.hasFocus() && permission() === "granted") {
      const shown = new Notification(this.#title, { body: text, tag: "etatuki", icon: "/icon.svg" });
      shown.onclick = () => window.focus();
    }
  }

  #seen(): void {
    if (this.#unseen !== null && document.hasFocus()) {
      this.#unseen = null;
      this.#drawTitle();
    }
  }

  #drawTitle(): void {
    document.title = this.#unseen === null ? this.#title : `● ${this.#unseen} · ${this.#title}`;
  }

  async #notifyChanged(): Promise<void> {
    if (this.#notify.checked && permission() === "default") {
      await Notification.requestPermission();
    }
    const granted = permission() === "granted";
    show(this.#denied, this.#notify.checked && !granted);
    this.#notify.checked &&= granted;
    localStorage.setItem(NOTIFY_KEY, this.#notify.checked ? "on" : "off");
  }

  /** Two short tones, quiet enough for a call. */
  #beep(): void {
    if (!this.#sound.checked) {
      return;
    }
    this.#audio ??= new AudioContext();
    const { currentTime, destination } = this.#audio;
    for (const [index, frequency] of [660, 880].entries()) {
      const [tone, volume] = [this.#audio.createOscillator(), this.#audio.createGain()];
      const start = currentTime + index * 0.14;
      tone.frequency.value = frequency;
      volume.gain.setValueAtTime(0.08, start);
      volume.gain.exponentialRampToValueAtTime(0.001, start + 0.13);
      tone.connect(volume).connect(destination);
      tone.start(start);
      tone.stop(start + 0.13);
    }
  }
}

function permission(): NotificationPermission {
  return "Notification" in window ? Notification.permission : "denied";
}
