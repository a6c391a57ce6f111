// The form for the session code: groups the digits, moves on from an ID to its password, and
// reports a wrong digit while the agent types.

import { byId, setText, show } from "./dom.ts";
import { ID_DIGITS, PASSWORD_DIGITS, digitsOf, hasOtherThanDigits, inThrees, parseCode, splitPasted } from "./code.ts";
import type { ParsedCode } from "./code.ts";

export class CodeEntry {
  readonly #code = byId("code", HTMLInputElement);
  readonly #password = byId("password", HTMLInputElement);
  readonly #passwordField = byId("password-field", HTMLElement);
  readonly #connect = byId("connect", HTMLButtonElement);
  readonly #hint = byId("hint", HTMLElement);
  readonly #send: (code: string, password: string | null) => boolean;
  #busy = false;
  /** The digits that were refused. They aren't sent again: the customer's side counts every try. */
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
    this.#update();
  }

  /** Whether a code is being tried; until then no other is sent. */
  set busy(busy: boolean) {
    this.#busy = busy;
    this.#update();
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
    this.#update();
  }

  /**
   * Handles a wrong code. Keeps an ID and clears its password; selects a session code, to be typed
   * over.
   */
  onRefused(): void {
    const digits = this.#digits();
    this.#refused = digits.code + digits.password;
    this.#password.value = "";
    this.#update();
    this.focus();
  }

  #digits(): { code: string; password: string } {
    return { code: digitsOf(this.#code.value), password: digitsOf(this.#password.value) };
  }

  #codeTyped(): void {
    const typed = this.#code.value;
    const parts = splitPasted(digitsOf(typed));
    regroup(this.#code, parts.code);
    if (parts.password !== "") {
      this.#password.value = inThrees(parts.password);
    }
    const parsed = this.#update(hasOtherThanDigits(typed));
    const atEnd = this.#code.selectionStart === this.#code.value.length;
    if (parsed.passwordWanted && atEnd && parts.code.length === ID_DIGITS) {
      this.#password.focus();
    }
  }

  #passwordTyped(): void {
    const typed = this.#password.value;
    regroup(this.#password, digitsOf(typed).slice(0, PASSWORD_DIGITS));
    this.#update(hasOtherThanDigits(typed));
  }

  #update(hasOtherCharacters = false): ParsedCode {
    const { code, password } = this.#digits();
    const parsed = parseCode(code, password);
    const refusedBefore = code + password === this.#refused && this.#refused !== "";
    if (!parsed.passwordWanted && password !== "") {
      this.#password.value = "";
    }
    show(this.#passwordField, parsed.passwordWanted);
    this.#connect.disabled = this.#busy || !parsed.ready || refusedBefore;
    setText(this.#hint, refusedBefore ? "This code was refused. Ask the customer to read it again."
      : hasOtherCharacters ? "Codes have digits only." : parsed.hint);
    this.#hint.dataset["tone"] = refusedBefore || hasOtherCharacters ? "bad" : parsed.tone;
    this.#code.setAttribute("aria-invalid", String(parsed.tone === "bad" || refusedBefore));
    return parsed;
  }

  #submit(): void {
    const { code, password } = this.#digits();
    const parsed = parseCode(code, password);
    if (this.#connect.disabled || !parsed.ready) {
      if (parsed.passwordWanted) {
        this.#password.focus();
      }
      return;
    }
    if (parsed.form === "ecom") {
      this.#send(code, password);
    } else {
      this.#send(code + password, null);
    }
  }
}

/** Writes the digits in groups of three. The caret stays behind the same digit. */
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
