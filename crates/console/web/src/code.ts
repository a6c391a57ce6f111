// Parses a code while the agent types it: a session code of 12 digits, or an ID of 9 and a password
// of 6. crates/trust enforces this grammar; here it only gives early feedback.

import { plural, t } from "./texts.ts";

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

/** Digits in their two fields. */
export interface Fields {
  code: string;
  password: string;
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

/** Characters that may stand between the digits of one run. */
const SEPARATORS = /[\s.\-\u00ad\u2010-\u2015\u2212\u200b-\u200f\u2060\ufeff]/g;

/** The zeros of the scripts whose digits are taken: full-width, and Arabic-Indic in both forms. */
const ZEROS = [0xff10, 0x660, 0x6f0];

/** Returns the text with every digit as an ASCII one. */
function asciiDigits(text: string): string {
  return text.replace(/\p{Nd}/gu, (digit) => {
    const code = digit.codePointAt(0) ?? 0;
    const zero = ZEROS.find((zero) => code >= zero && code <= zero + 9);
    return zero === undefined ? digit : String(code - zero);
  });
}

export function digitsOf(text: string): string {
  return asciiDigits(text).replace(/\D/g, "");
}

/** Whether a letter touches a digit, as the O in `12O`, or there is nothing but other characters. */
export function hasLettersAmongDigits(text: string): boolean {
  const plain = asciiDigits(text);
  return /\d\p{L}|\p{L}\d/u.test(plain) || (/\S/.test(plain.replace(SEPARATORS, "")) && !/\d/.test(plain));
}

export function inThrees(digits: string): string {
  return digits.replace(/(\d{3})(?=\d)/g, "$1 ");
}

/** Whether the digits are a whole code: a session code, or an ID and its password. */
function isWhole(digits: string): boolean {
  return (digits.length === CODE_DIGITS && checkDigitFits(digits)) ||
    (digits.length === ID_DIGITS + PASSWORD_DIGITS && checkDigitFits(digits.slice(0, ID_DIGITS)));
}

/**
 * Returns the digits of the code in a text that was typed or pasted, whatever stands between them.
 * Labels may have digits of their own: then a run of digits that is a whole code, or two that follow
 * each other, are taken.
 */
export function codeDigits(text: string): string {
  const all = digitsOf(text);
  if (isWhole(all)) {
    return all;
  }
  const runs = asciiDigits(text).replace(SEPARATORS, "").split(/\D+/).filter((run) => run !== "");
  const pairs = runs.slice(1).map((run, index) => `${runs[index]}${run}`);
  return [...runs, ...pairs].find(isWhole) ?? all;
}

/** Divides the digits of the code field: nine are an ID if they pass for one, the rest its password. */
export function splitDigits(digits: string): Fields {
  const id = digits.slice(0, ID_DIGITS);
  if (digits.length > CODE_DIGITS && checkDigitFits(id)) {
    return { code: id, password: digits.slice(ID_DIGITS) };
  }
  return { code: digits, password: "" };
}

/**
 * Parses both fields together. An ID and the beginning of a session code look alike for nine
 * digits, and one such beginning in ten even has a fitting check digit. An agent who was moved on
 * to the password field may type the last three digits of a session code there and press Enter.
 */
export function parseCode({ code, password }: Fields): ParsedCode {
  const together = code + password;
  const isId = code.length === ID_DIGITS && checkDigitFits(code);
  if (together === "") {
    return quiet(t("code.empty"));
  }
  if (isId && password.length === PASSWORD_DIGITS) {
    return { ready: true, form: "ecom", passwordWanted: true, tone: "good", hint: t("code.ready-id") };
  }
  if (together.length === CODE_DIGITS && checkDigitFits(together) && (password === "" || isId)) {
    return {
      ready: true,
      form: "remoteus",
      passwordWanted: password !== "",
      tone: "good",
      hint: password === "" ? t("code.ready-code") : t("code.ready-both"),
    };
  }
  if (isId) {
    const left = PASSWORD_DIGITS - password.length;
    const hint = left > 0 ? plural("code.password-left", left)
      : together.length > ID_DIGITS + CODE_DIGITS ? t("code.too-many") : t("code.password-too-long");
    return { ...quiet(hint), passwordWanted: true, tone: left > 0 ? "quiet" : "bad" };
  }
  return parseAlone(code);
}

function parseAlone(code: string): ParsedCode {
  if (code.length < ID_DIGITS) {
    return quiet(t("code.left-both", { id: ID_DIGITS - code.length, code: CODE_DIGITS - code.length }));
  }
  if (code.length === ID_DIGITS) {
    return { ...quiet(t("code.wrong-id")), tone: "note" };
  }
  if (code.length < CODE_DIGITS) {
    return quiet(plural("code.left", CODE_DIGITS - code.length));
  }
  return bad(code.length === CODE_DIGITS ? t("code.wrong-code") : t("code.too-many"));
}

function quiet(hint: string): ParsedCode {
  return { ready: false, form: null, passwordWanted: false, tone: "quiet", hint };
}

function bad(hint: string): ParsedCode {
  return { ...quiet(hint), tone: "bad" };
}
