import assert from "node:assert/strict";
import { test } from "node:test";
import type { Customer, Session } from "../src/protocol.ts";
import { askControlButton, unusableText } from "../src/status-text.ts";

test("an agent reads why a backend can't be used, and a name that is new to the page stays readable", () => {
  assert.equal(unusableText("tool-missing"), "not installed on the customer's computer");
  assert.equal(unusableText("something-new"), "can't be used there (something-new)");
  assert.equal(unusableText(null), "can't be used there");
});

test("control isn't offered where the customer's tool takes no input", () => {
  const customer: Customer = {
    backend: "viewer", label: "Viewer", tool: "viewer", tool_version: null, plugin_version: "1.0.0", system: "Debian 12",
    app_version: null, usable: [], launcher_version: "0.1.0",
  };
  const session: Session = {
    number: 1, form: "remoteus", caption: "123 456", customer, permissions: { view: true, control: false }, asking: null,
    asks_left: { view: 3, control: 3 }, picture: true, desktop: null, connected_at: 0, ended_at: null,
  };
  assert.equal(askControlButton(session).enabled, true);
  const lacking = { ...session, customer: { ...customer, unsupported: ["control" as const] } };
  assert.deepEqual([askControlButton(lacking).label, askControlButton(lacking).enabled], ["View only", false]);
});
