import assert from "node:assert/strict";
import { test } from "node:test";
import { checkDigitFits, digitsOf, hasOtherThanDigits, inThrees, parseCode, splitPasted } from "../src/code.ts";

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

test("separators are dropped, other characters are noticed", () => {
  assert.equal(digitsOf("123 456\u00a0789-012"), "123456789012");
  assert.ok(!hasOtherThanDigits("123 456\u00a0789–012."));
  assert.ok(hasOtherThanDigits("12O"));
  assert.equal(inThrees("1234567"), "123 456 7");
  assert.equal(inThrees("123456"), "123 456");
});

test("a session code is ready with its twelfth digit, and not with a wrong one", () => {
  const code = sessionCode(false);
  for (let length = 0; length < 12; length++) assert.ok(!parseCode(code.slice(0, length), "").ready, `${length}`);
  assert.deepEqual([parseCode(code, "").ready, parseCode(code, "").form], [true, "remoteus"]);
  const last = (Number(code[11]) + 1) % 10;
  const wrong = parseCode(code.slice(0, 11) + last, "");
  assert.deepEqual([wrong.ready, wrong.tone], [false, "bad"]);
  assert.equal(parseCode(code + "1", "").tone, "bad");
});

test("an ID wants its password, and both together are ready", () => {
  const id = withCheck("12345678");
  assert.ok(parseCode(id, "").passwordWanted);
  assert.ok(!parseCode(id, "12345").ready);
  assert.deepEqual([parseCode(id, "123456").ready, parseCode(id, "123456").form], [true, "ecom"]);
});

test("an ID with a wrong digit is told at once", () => {
  const id = withCheck("12345678");
  const wrong = parseCode(id.slice(0, 8) + ((Number(id[8]) + 1) % 10), "");
  assert.deepEqual([wrong.tone, wrong.passwordWanted], ["note", false]);
});

test("the end of a session code may stand in the password field", () => {
  const code = sessionCode(true);
  assert.ok(parseCode(code.slice(0, 9), "").passwordWanted);
  const parsed = parseCode(code.slice(0, 9), code.slice(9));
  assert.deepEqual([parsed.ready, parsed.form], [true, "remoteus"]);
});

test("an ID and password pasted in one go are taken apart", () => {
  const id = withCheck("12345678");
  assert.deepEqual(splitPasted(`${id}654321`), { code: id, password: "654321" });
  assert.deepEqual(splitPasted("123456789012"), { code: "123456789012", password: "" });
});
