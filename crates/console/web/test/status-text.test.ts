import assert from "node:assert/strict";
import { test } from "node:test";
import type { Customer, Session } from "../src/protocol.ts";
import { askControlButton, asksLeftText, interruptionText, unusableText } from "../src/status-text.ts";

// Without a catalogue every text is its key.

test("an agent reads why a backend can't be used, and a name that is new to the page stays readable", () => {
  assert.equal(unusableText("tool-missing"), "panel.tool-missing");
  assert.equal(unusableText("something-new"), "panel.unusable-other");
  assert.equal(unusableText(null), "panel.unusable");
});

const customer: Customer = {
  backend: "viewer", label: "Viewer", tool: "viewer", tool_version: null, plugin_version: "1.0.0", system: "Debian 12",
  app_version: null, usable: [], launcher_version: "0.1.0",
};
const session: Session = {
  number: 1, form: "remoteus", caption: "123 456", customer, permissions: { view: true, control: false }, asking: null,
  screen: { condition: "visible", true_at: null }, asks_left: { view: 3, control: 3, restart: 3 }, picture: true, desktop: null,
  connected_at: 0, interrupted_until: null, restart_until: null, ended_at: null,
};

test("control isn't offered where the customer's tool takes no input", () => {
  assert.equal(askControlButton(session).enabled, true);
  const lacking = { ...session, customer: { ...customer, unsupported: ["control" as const] } };
  assert.deepEqual([askControlButton(lacking).label, askControlButton(lacking).enabled], ["bar.view-only", false]);
});

test("an agent knows how often control may still be asked for", () => {
  const left = (control: number): Session => ({ ...session, asks_left: { view: 3, control, restart: 3 } });
  assert.equal(askControlButton(left(3)).label, "bar.ask-control");
  assert.equal(askControlButton(left(2)).label, "bar.ask-control-left");
  assert.equal(askControlButton(left(0)).enabled, false);
  assert.equal(asksLeftText(left(1), "control"), "event.asks-left-one");
  assert.equal(asksLeftText(left(0), "control"), "event.asks-left-none");
});

test("an interruption is told while it lasts", () => {
  assert.equal(interruptionText(session, 0), null);
  assert.equal(interruptionText({ ...session, interrupted_until: 120_000 }, 13_000), "wait.interrupted-more");
});
