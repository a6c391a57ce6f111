import assert from "node:assert/strict";
import { test } from "node:test";
import { unusableText } from "../src/status-text.ts";

test("an agent reads why a backend can't be used, and a name that is new to the page stays readable", () => {
  assert.equal(unusableText("tool-missing"), "not installed on the customer's computer");
  assert.equal(unusableText("something-new"), "can't be used there (something-new)");
  assert.equal(unusableText(null), "can't be used there");
});
