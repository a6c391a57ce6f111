// The code's form: groups the digits, leads from the ID to its password, says at once when a digit is wrong.

import { byId, setText, show } from "./dom.ts";
import { ID_DIGITS, PASSWORD_DIGITS, digitsOf, hasOtherThanDigits, inThrees, read, split } from "./code.ts";
import type { Reading } from "./code.ts";

export class Entry {
  readonly #code = byId("code", HTMLInputElement);
  readonly #password = byId("password", HTMLInputElement);
  readonly #passwordField = byId("password-field", HTMLElement);
  readonly #connect = byId("connect", HTMLButtonElement);
  readonly #hint = byId("hint", HTMLElement);
  readonly #send: (code: string, password: string | null) => boolean;
  #busy = false;
  /** The digits that were refused; they aren't sent a second time, for each try counts at the customer's. */
  #refused = "";

  constructor(send: (code: string, password: string | null) => boolean) {
    this.#send = send;
    byId("entry", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#code.addEventListener("input", () => this.#codeTyped());
    this.#password.addEventListener("input", () => this.#passwordTyped());
    this.#password.addEventListener("keydown", (event) => {
      if (event.key === "Backspace" && this.#password.value === "") {
        event.preventDefault();
        this.#code.focus();
      }
    });
    this.#judge();
  }

  /** While a code is being tried nothing is sent. */
  set busy(busy: boolean) {
    this.#busy = busy;
    this.#judge();
  }

  focus(): void {
    const target = this.#code.value !== "" && !this.#passwordField.hidden ? this.#password : this.#code;
    target.focus();
    target.select();
  }

  clear(): void {
    this.#code.value = "";
    this.#password.value = "";
    this.#refused = "";
    this.#judge();
  }

  /** After a wrong code: an ID stays, its password goes; a session code stays selected to be typed over. */
  refused(): void {
    const digits = this.#digits();
    this.#refused = digits.code + digits.password;
    this.#password.value = "";
    this.#judge();
    this.focus();
  }

  #digits(): { code: string; password: string } {
    return { code: digitsOf(this.#code.value), password: digitsOf(this.#password.value) };
  }

  #codeTyped(): void {
    const typed = this.#code.value;
    const parts = split(digitsOf(typed));
    regroup(this.#code, parts.code);
    if (parts.password !== "") {
      this.#password.value = inThrees(parts.password);
    }
    const reading = this.#judge(hasOtherThanDigits(typed));
    const atEnd = this.#code.selectionStart === this.#code.value.length;
    if (reading.passwordWanted && atEnd && parts.code.length === ID_DIGITS) {
      this.#password.focus();
    }
  }

  #passwordTyped(): void {
    const typed = this.#password.value;
    regroup(this.#password, digitsOf(typed).slice(0, PASSWORD_DIGITS));
    this.#judge(hasOtherThanDigits(typed));
  }

  #judge(strange = false): Reading {
    const { code, password } = this.#digits();
    const reading = read(code, password);
    const again = code + password === this.#refused && this.#refused !== "";
    if (!reading.passwordWanted && password !== "") {
      this.#password.value = "";
    }
    show(this.#passwordField, reading.passwordWanted);
    this.#connect.disabled = this.#busy || !reading.ready || again;
    setText(this.#hint, again ? "This code was refused. Ask the customer to read it again."
      : strange ? "Codes have digits only." : reading.hint);
    this.#hint.dataset["tone"] = again || strange ? "bad" : reading.tone;
    this.#code.setAttribute("aria-invalid", String(reading.tone === "bad" || again));
    return reading;
  }

  #submit(): void {
    const { code, password } = this.#digits();
    const reading = read(code, password);
    if (this.#connect.disabled || !reading.ready) {
      if (reading.passwordWanted) {
        this.#password.focus();
      }
      return;
    }
    if (reading.form === "ecom") {
      this.#send(code, password);
    } else {
      this.#send(code + password, null);
    }
  }
}

/** Writes the digits in threes and leaves the caret behind the digit that it stood behind. */
function regroup(field: HTMLInputElement, digits: string): void {
  const before = digitsOf(field.value.slice(0, field.selectionStart ?? field.value.length)).length;
  const grouped = inThrees(digits);
  if (field.value === grouped) {
    return;
  }
  field.value = grouped;
  const caret = before >= digits.length ? grouped.length : before + Math.floor(Math.max(before - 1, 0) / 3);
  field.setSelectionRange(caret, caret);
}
