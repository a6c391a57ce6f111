// Parses a code while the agent types it: a session code of 12 digits, or an ID of 9 and a password
// of 6. crates/trust enforces this grammar; here it only gives early feedback.

export const ID_DIGITS = 9;
export const PASSWORD_DIGITS = 6;
export const CODE_DIGITS = 12;

export interface ParsedCode {
  /** Whether the digits are complete and the check digit fits, so that they may be sent. */
  ready: boolean;
  /** The form in which the digits are sent once `ready`. */
  form: "remoteus" | "ecom" | null;
  /** Whether the password field is shown. */
  passwordWanted: boolean;
  /** `note`: wrong as an ID, but perhaps the beginning of a session code. */
  tone: "quiet" | "good" | "note" | "bad";
  hint: string;
}

/**
 * The quasigroup of the Damm algorithm (H. M. Damm, 2004). Row: the interim digit; column: the next
 * digit.
 */
const DAMM = [
  "0317598642", "7092154863", "4206871359", "1750983426", "6123045978",
  "3674209581", "5869720134", "8945362017", "9438617205", "2581436790",
];

export function checkDigitFits(digits: string): boolean {
  let interim = 0;
  for (const digit of digits) {
    interim = Number(DAMM[interim]?.[Number(digit)]);
  }
  return digits.length > 1 && interim === 0;
}

/** Characters that may stand between the digits and are dropped. */
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
 * Parses both fields together. An ID and the beginning of a session code look alike for nine
 * digits, and one such beginning in ten even has a fitting check digit. An agent who was moved on
 * to the password field may type the last three digits of a session code there and press Enter.
 */
export function parseCode(code: string, password: string): ParsedCode {
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
    return { ...quiet(left > 0 ? `Now the password: ${digitsLeft(left)}.` : TOO_LONG), passwordWanted: true,
      tone: left > 0 ? "quiet" : "bad" };
  }
  return parseAlone(code);
}

const TOO_LONG = "Too many digits. A session code has 12, an ID 9 and its password 6.";

function parseAlone(code: string): ParsedCode {
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
  return bad(TOO_LONG);
}

function digitsLeft(count: number): string {
  return count === 1 ? "1 more digit" : `${count} more digits`;
}

function quiet(hint: string): ParsedCode {
  return { ready: false, form: null, passwordWanted: false, tone: "quiet", hint };
}

function bad(hint: string): ParsedCode {
  return { ...quiet(hint), tone: "bad" };
}

/**
 * Splits digits that were pasted into the code field: the first nine are an ID, the rest its
 * password.
 */
export function splitPasted(code: string): { code: string; password: string } {
  const id = code.slice(0, ID_DIGITS);
  if (code.length > CODE_DIGITS && checkDigitFits(id)) {
    return { code: id, password: code.slice(ID_DIGITS, ID_DIGITS + PASSWORD_DIGITS) };
  }
  return { code, password: "" };
}
