import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checkDigitFits, codeDigits, digitsOf, hasLettersAmongDigits, inThrees, parseCode, splitDigits,
} from "../src/code.ts";

const parse = (code: string, password = "") => parseCode({ code, password });

function withCheck(digits: string): string {
  const fitting = [..."0123456789"].filter((digit) => checkDigitFits(digits + digit));
  assert.equal(fitting.length, 1, `exactly one check digit fits ${digits}`);
  return digits + fitting[0];
}

/** The first session code whose first nine digits do, or don't, pass for an ID. */
function sessionCode(looksLikeId: boolean): string {
  for (let number = 12345678900; ; number++) {
    const code = withCheck(String(number));
    if (checkDigitFits(code.slice(0, 9)) === looksLikeId) return code;
  }
}

test("the published example of the check digit", () => {
  assert.ok(checkDigitFits("5724"));
  assert.ok(!checkDigitFits("5723"));
  assert.ok(!checkDigitFits("7524"));
});

test("separators are dropped, letters among digits are noticed", () => {
  assert.equal(digitsOf("123 456\u00a0789-012"), "123456789012");
  assert.equal(digitsOf("１２３ ٤٥٦"), "123456");
  assert.ok(!hasLettersAmongDigits("123 456\u00a0789–012."));
  assert.ok(!hasLettersAmongDigits("ID: 123 456"));
  assert.ok(hasLettersAmongDigits("12O"));
  assert.ok(hasLettersAmongDigits("salasana"));
  assert.equal(inThrees("1234567"), "123 456 7");
  assert.equal(inThrees("123456"), "123 456");
});

test("a code is found in whatever is pasted with it", () => {
  const code = sessionCode(false);
  const id = withCheck("12345678");
  const both = `${id}368681`;
  const wide = [...code].map((digit) => String.fromCodePoint(0xff10 + Number(digit))).join("");
  for (const text of [`Istuntokoodi: ${inThrees(code)}.`, `Remoteus (2008)\n${code}`, inThrees(code).replaceAll(" ", "/"), wide]) {
    assert.equal(codeDigits(text), code, text);
  }
  for (const text of [
    `ID: ${inThrees(id)}, salasana: 368 681`, `Tunnus (ID)\r\n${id}\r\nKertasalasana\r\n368681`, `${id} / 368-681`,
    `Ecom 2.0: ID ${id}, password 368 681!`,
  ]) {
    assert.equal(codeDigits(text), both, text);
  }
});

test("a session code is ready with its twelfth digit, and not with a wrong one", () => {
  const code = sessionCode(false);
  for (let length = 0; length < 12; length++) assert.ok(!parse(code.slice(0, length)).ready, `${length}`);
  assert.deepEqual([parse(code).ready, parse(code).form], [true, "remoteus"]);
  const last = (Number(code[11]) + 1) % 10;
  const wrong = parse(code.slice(0, 11) + last);
  assert.deepEqual([wrong.ready, wrong.tone], [false, "bad"]);
  assert.equal(parse(`${code}1`).hint, "code.too-many");
});

test("an ID wants its password, and both together are ready", () => {
  const id = withCheck("12345678");
  assert.ok(parse(id).passwordWanted);
  assert.ok(!parse(id, "12345").ready);
  assert.deepEqual([parse(id, "123456").ready, parse(id, "123456").form], [true, "ecom"]);
  assert.deepEqual([parse(id, "1234567").ready, parse(id, "1234567").tone], [false, "bad"]);
});

test("an ID with a wrong digit is told at once", () => {
  const id = withCheck("12345678");
  const wrong = parse(id.slice(0, 8) + ((Number(id[8]) + 1) % 10));
  assert.deepEqual([wrong.tone, wrong.passwordWanted], ["note", false]);
});

test("the end of a session code may stand in the password field", () => {
  const code = sessionCode(true);
  assert.ok(parse(code.slice(0, 9)).passwordWanted);
  const parsed = parse(code.slice(0, 9), code.slice(9));
  assert.deepEqual([parsed.ready, parsed.form], [true, "remoteus"]);
});

test("an ID and password in one go are taken apart, and no digit is lost", () => {
  const id = withCheck("12345678");
  assert.deepEqual(splitDigits(`${id}654321`), { code: id, password: "654321" });
  assert.deepEqual(splitDigits(`${id}6543217`), { code: id, password: "6543217" });
  assert.deepEqual(splitDigits("123456789012"), { code: "123456789012", password: "" });
});
