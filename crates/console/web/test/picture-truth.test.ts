import assert from "node:assert/strict";
import { test } from "node:test";
import { pictureTruth, SILENT_MS } from "../src/picture-truth.ts";
import type { ScreenState, Session } from "../src/protocol.ts";

// Without a catalogue every text is its key.

const session = (screen: ScreenState): Session => ({
  number: 1, form: "remoteus", caption: "123 456", customer: null, permissions: { view: true, control: false },
  asking: null, screen, asks_left: { view: 3, control: 3, restart: 3 }, picture: true, desktop: null, connected_at: 0,
  interrupted_until: null, restart_until: null, ended_at: null,
});
const visible = session({ condition: "visible", true_at: null });

test("a screen on which nothing moves is true as long as its end is heard", () => {
  let heardAt = 0;
  // Half an hour; heartbeats come up to 0.9 s late.
  for (let now = 0; now < 1_800_000; now += 250) {
    if (now - heardAt >= 1000 + (now % 7) * 100) {
      heardAt = now;
    }
    assert.deepEqual(pictureTruth(visible, heardAt, now), { notice: null, age: null });
  }
});

test("within two seconds of silence the picture is said to be old, and how old", () => {
  assert.equal(pictureTruth(visible, 10_000, 10_000 + SILENT_MS - 1).age, null);
  assert.deepEqual(pictureTruth(visible, 10_000, 10_000 + SILENT_MS), { notice: "screen.silent", age: 2 });
  assert.equal(pictureTruth(visible, 10_000, 17_100).age, 7);
});

test("nothing is said of a customer's end that was never heard", () => {
  assert.deepEqual(pictureTruth(visible, null, 1e9), { notice: null, age: null });
});

test("what is so on the customer's screen is said, and only a picture that may be old has an age", () => {
  const locked = session({ condition: "locked", true_at: null });
  assert.deepEqual(pictureTruth(locked, 20_000, 20_500), { notice: "screen.locked", age: null });
  const hung = session({ condition: "tool-hung", true_at: 16_000 });
  assert.deepEqual(pictureTruth(hung, 20_000, 20_500), { notice: "screen.tool-hung", age: 5 });
  // Silence on top of it makes the picture no younger.
  assert.deepEqual(pictureTruth(hung, 20_000, 26_000), { notice: "screen.silent", age: 10 });
});
