// Reads what the agent has typed so far: a session code of 12 digits, or an ID of 9 and a password of 6.
// The same grammar as crates/trust; there it is enforced, here it only answers while one types.

export const ID_DIGITS = 9;
export const PASSWORD_DIGITS = 6;
export const CODE_DIGITS = 12;

export interface Reading {
  /** Complete, and the check digit fits: may be sent. */
  ready: boolean;
  /** What the digits can be sent as, once `ready`. */
  form: "remoteus" | "ecom" | null;
  /** The password belongs beside the code now. */
  passwordWanted: boolean;
  /** `note`: wrong as an ID, but the beginning of a session code looks the same. */
  tone: "quiet" | "good" | "note" | "bad";
  hint: string;
}

/** Row: the digit carried so far; column: the next digit (H. M. Damm, 2004). */
const DAMM = [
  "0317598642", "7092154863", "4206871359", "1750983426", "6123045978",
  "3674209581", "5869720134", "8945362017", "9438617205", "2581436790",
];

export function checkDigitFits(digits: string): boolean {
  let carried = 0;
  for (const digit of digits) {
    carried = Number(DAMM[carried]?.[Number(digit)]);
  }
  return digits.length > 1 && carried === 0;
}

/** What may stand between the digits, and is dropped. */
const SEPARATORS = /[\s.\-\u00ad\u2010-\u2015\u2212\u200b-\u200f\u2060\ufeff]/g;

export function digitsOf(text: string): string {
  return text.replace(SEPARATORS, "").replace(/\D/g, "");
}

export function hasOtherThanDigits(text: string): boolean {
  return /\D/.test(text.replace(SEPARATORS, ""));
}

export function inThrees(digits: string): string {
  return digits.replace(/(\d{3})(?=\d)/g, "$1 ");
}

/**
 * An ID and the beginning of a session code look alike for nine digits, and one prefix in ten even has a
 * fitting check digit. So the two fields are read as one: whoever was led to the password field and goes on
 * with the last three digits of a session code may simply press Enter there.
 */
export function read(code: string, password: string): Reading {
  const together = code + password;
  const isId = code.length === ID_DIGITS && checkDigitFits(code);
  if (together === "") {
    return quiet("12 digits are a session code; 9 digits are an ID, then comes its password of 6.");
  }
  if (isId && password.length === PASSWORD_DIGITS) {
    return { ready: true, form: "ecom", passwordWanted: true, tone: "good", hint: "ID and password. Press Enter." };
  }
  if (together.length === CODE_DIGITS && checkDigitFits(together) && (password === "" || isId)) {
    return {
      ready: true,
      form: "remoteus",
      passwordWanted: password !== "",
      tone: "good",
      hint: password === "" ? "Session code. Press Enter." : "Also a whole session code: press Enter, or type on.",
    };
  }
  if (isId) {
    const left = PASSWORD_DIGITS - password.length;
    return { ...quiet(left > 0 ? `Now the password: ${digitsLeft(left)}.` : tooLong), passwordWanted: true,
      tone: left > 0 ? "quiet" : "bad" };
  }
  return readAlone(code);
}

const tooLong = "Too many digits. A session code has 12, an ID 9 and its password 6.";

function readAlone(code: string): Reading {
  if (code.length < ID_DIGITS) {
    return quiet(`${digitsLeft(ID_DIGITS - code.length)} for an ID, ${CODE_DIGITS - code.length} for a session code.`);
  }
  if (code.length === ID_DIGITS) {
    const hint = "As an ID, a digit is wrong: ask for it again. A session code goes on for 3 more.";
    return { ...quiet(hint), tone: "note" };
  }
  if (code.length < CODE_DIGITS) {
    return quiet(`${digitsLeft(CODE_DIGITS - code.length)} for a session code.`);
  }
  if (code.length === CODE_DIGITS) {
    return bad("A digit is wrong in this session code. Ask the customer to read it again.");
  }
  return bad(tooLong);
}

function digitsLeft(count: number): string {
  return count === 1 ? "1 more digit" : `${count} more digits`;
}

function quiet(hint: string): Reading {
  return { ready: false, form: null, passwordWanted: false, tone: "quiet", hint };
}

function bad(hint: string): Reading {
  return { ...quiet(hint), tone: "bad" };
}

/** Sorts digits that were typed or pasted into the code field: an ID keeps nine, the rest is its password. */
export function split(code: string): { code: string; password: string } {
  const id = code.slice(0, ID_DIGITS);
  if (code.length > CODE_DIGITS && checkDigitFits(id)) {
    return { code: id, password: code.slice(ID_DIGITS, ID_DIGITS + PASSWORD_DIGITS) };
  }
  return { code, password: "" };
}
