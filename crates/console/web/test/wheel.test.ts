import assert from "node:assert/strict";
import { test } from "node:test";
import { toPixels, TurnCounter } from "../src/wheel.ts";

/** The turns of each step, one after the other. */
function turns(...steps: number[]): number[] {
  const counter = new TurnCounter();
  return steps.map((step) => counter.count(step));
}

test("one turn of a mouse's wheel is one turn, whatever its browser calls it", () => {
  assert.deepEqual(turns(100, 120, 125, -100), [1, 1, 1, -1]);
  assert.deepEqual(turns(53, 53, -53), [1, 1, -1]);
  assert.deepEqual(turns(toPixels(3, 1, 600), toPixels(-1, 1, 600)), [1, -1]);
});

test("a long way is as many turns", () => {
  assert.deepEqual(turns(600, -600), [6, -6]);
  assert.deepEqual(turns(toPixels(1, 2, 700)), [7]);
  assert.deepEqual(turns(1e9, -1e9), [20, -20]);
});

test("small steps add up, in one direction", () => {
  assert.deepEqual(turns(20, 20, 20, 20), [0, 0, 1, 0]);
  assert.deepEqual(turns(40, -40, -20, 0), [0, 0, -1, 0]);
});
