// The form for the session code: groups the digits, moves on from an ID to its password, takes apart
// whatever is pasted, and reports a wrong digit while the agent types.

import { byId, setText, show } from "./dom.ts";
import {
  ID_DIGITS, PASSWORD_DIGITS, codeDigits, digitsOf, hasLettersAmongDigits, inThrees, parseCode, splitDigits,
} from "./code.ts";
import type { Fields, ParsedCode } from "./code.ts";
import { t } from "./texts.ts";

/** Wrong tries after which the customer's code is burnt and a new one is shown there. */
const MAX_TRIES = 3;

/** How the last try ended, as far as the same digits are concerned. */
type LastTry = "none" | "refused" | "may-repeat";

export class CodeEntry {
  readonly #code = byId("code", HTMLInputElement);
  readonly #password = byId("password", HTMLInputElement);
  readonly #passwordField = byId("password-field", HTMLElement);
  readonly #connect = byId("connect", HTMLButtonElement);
  readonly #hint = byId("hint", HTMLElement);
  readonly #send: (code: string, password: string | null) => boolean;
  #busy = false;
  /** The digits that were tried last. Refused ones aren't sent again: the customer's side counts. */
  #tried = "";
  #lastTry: LastTry = "none";
  /** The ID or session code that was refused last, and how often in a row. */
  #wrong = { code: "", times: 0 };
  /** A sentence in place of the hint, until something is typed. */
  #notice: string | null = null;

  constructor(send: (code: string, password: string | null) => boolean) {
    this.#send = send;
    byId("entry", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#code.addEventListener("input", () => this.#codeTyped());
    this.#password.addEventListener("input", () => this.#passwordTyped());
    for (const field of [this.#code, this.#password]) {
      // A pasted text is more than digits; the field would lose its line breaks.
      field.addEventListener("paste", (event) => this.#pasted(event));
    }
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

  /** Forgets the code; the cursor goes to the first field. */
  clear(): void {
    this.#set({ code: "", password: "" });
    this.#lastTry = "none";
    this.#notice = null;
    this.#update();
  }

  /**
   * Handles a wrong code. Keeps an ID and clears its password; selects a session code, to be typed
   * over. After the third wrong try the customer has a new code, and nothing is kept.
   */
  onRefused(): void {
    const { code } = this.#digits();
    this.#wrong = { code, times: this.#wrong.code === code ? this.#wrong.times + 1 : 1 };
    if (this.#wrong.times >= MAX_TRIES) {
      this.clear();
      this.#notice = t("code.replaced");
    } else {
      this.#lastTry = "refused";
      this.#password.value = "";
    }
    this.#update();
    this.focus();
  }

  /** Handles a failure that has nothing to do with the code: the same digits may be tried again. */
  onMayRepeat(): void {
    this.#lastTry = "may-repeat";
    this.#update();
    this.focus();
  }

  /** Handles a failure after which the code is worth nothing. */
  onWorthless(): void {
    this.clear();
    this.focus();
  }

  #digits(): Fields {
    return { code: digitsOf(this.#code.value), password: digitsOf(this.#password.value) };
  }

  #set(fields: Fields): void {
    this.#code.value = inThrees(fields.code);
    this.#password.value = inThrees(fields.password);
  }

  #pasted(event: ClipboardEvent): void {
    const text = event.clipboardData?.getData("text") ?? "";
    const digits = codeDigits(text);
    const intoPassword = event.target === this.#password;
    // A few digits complete what stands there; a password of its own goes into its field.
    if (digits === "" || digits.length < ID_DIGITS && !(intoPassword && digits.length === PASSWORD_DIGITS)) {
      return;
    }
    event.preventDefault();
    this.#notice = null;
    this.#set(intoPassword && digits.length === PASSWORD_DIGITS
      ? { code: this.#digits().code, password: digits } : splitDigits(digits));
    const parsed = this.#update();
    (parsed.passwordWanted ? this.#password : this.#code).focus();
  }

  #codeTyped(): void {
    const typed = this.#code.value;
    const parts = splitDigits(codeDigits(typed));
    regroup(this.#code, parts.code);
    if (parts.password !== "") {
      this.#password.value = inThrees(parts.password);
    }
    this.#notice = null;
    const parsed = this.#update(typed);
    const atEnd = this.#code.selectionStart === this.#code.value.length;
    if (parsed.passwordWanted && atEnd && parts.code.length === ID_DIGITS) {
      this.#password.focus();
    }
  }

  #passwordTyped(): void {
    const typed = this.#password.value;
    regroup(this.#password, digitsOf(typed));
    this.#notice = null;
    const digits = digitsOf(typed);
    // A new customer's code that was typed into the old one's password field.
    const parsed = digits.length > PASSWORD_DIGITS ? parseCode(splitDigits(digits)) : null;
    if (parsed?.ready === true) {
      this.#set(splitDigits(digits));
      this.#code.focus();
    }
    this.#update(typed);
  }

  /** Redraws everything but the digits. `typed` is the text of a field before it was regrouped. */
  #update(typed = ""): ParsedCode {
    const fields = this.#digits();
    const parsed = parseCode(fields);
    const digits = fields.code + fields.password;
    if (!parsed.passwordWanted && fields.password !== "") {
      this.#password.value = "";
    }
    const again = digits === this.#tried && digits !== "" ? this.#lastTry : "none";
    const mistyped = !parsed.ready && hasLettersAmongDigits(typed);
    show(this.#passwordField, parsed.passwordWanted);
    this.#connect.disabled = this.#busy || !parsed.ready || again === "refused";
    const [hint, tone] = this.#notice !== null ? [this.#notice, "bad"]
      : again === "refused" ? [t("code.refused"), "bad"]
      : again === "may-repeat" ? [t("code.again"), "quiet"]
      : mistyped ? [t("code.not-digits"), "bad"]
      : [parsed.hint, parsed.tone];
    setText(this.#hint, hint);
    this.#hint.dataset["tone"] = tone;
    this.#code.setAttribute("aria-invalid", String(tone === "bad" && fields.password === ""));
    this.#password.setAttribute("aria-invalid", String(tone === "bad" && fields.password !== ""));
    return parsed;
  }

  #submit(): void {
    const fields = this.#digits();
    const parsed = parseCode(fields);
    if (this.#connect.disabled || !parsed.ready) {
      if (parsed.passwordWanted) {
        this.#password.focus();
      }
      return;
    }
    const { code, password } = fields;
    this.#tried = code + password;
    this.#lastTry = "none";
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
