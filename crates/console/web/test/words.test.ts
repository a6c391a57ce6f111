import assert from "node:assert/strict";
import { test } from "node:test";
import { unusableWords } from "../src/words.ts";

test("an agent reads why a backend can't be used, and a name that is new to the page stays readable", () => {
  assert.equal(unusableWords("tool-missing"), "not installed on the customer's computer");
  assert.equal(unusableWords("something-new"), "can't be used there (something-new)");
  assert.equal(unusableWords(null), "can't be used there");
});
