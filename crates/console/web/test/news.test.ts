import assert from "node:assert/strict";
import { test } from "node:test";
import { customerNews } from "../src/news.ts";
import type { LogEntry, Phase, Session, Snapshot } from "../src/protocol.ts";

// Without a catalogue every text is its key.

const session: Session = {
  number: 1, form: "ecom", caption: "123 456 789", customer: null, permissions: { view: true, control: false },
  asking: null, screen: { condition: "visible", true_at: null },
  asks_left: { view: 2, control: 1, restart: 3 }, picture: true, desktop: null, connected_at: 1, interrupted_until: null, restart_until: null, ended_at: null,
};

function snapshot(phase: Phase, more: Partial<Session> = {}): Snapshot {
  const about = { version: "", service: "", agent: { name: "", organisation: "" }, card_expires: 0 };
  return {
    type: "snapshot", about, readiness: { state: "ready" }, phase, session: { ...session, ...more }, log: [],
    outcome: phase === "ended" ? { name: "customer-closed", text: { key: "outcome.customer-closed" } } : null,
  };
}

const entry = (kind: LogEntry["kind"], key: string): LogEntry => ({ at: 1, kind, text: { key } });

test("the newest thing that the customer did is told, with what may still be asked", () => {
  const entries = [entry("given", "log.view-given"), entry("refused", "log.control-refused"), entry("info", "log.connected")];
  assert.deepEqual(customerNews(entries, snapshot("connected")),
    { text: "log.control-refused. event.asks-left-one", notice: "with-notice" });
  assert.equal(customerNews([entry("asked", "log.asked-control")], snapshot("connected")), null);
});

test("a notice doesn't repeat what stands in the page", () => {
  const refused = customerNews([entry("refused", "log.view-refused")], snapshot("connected"));
  assert.deepEqual(refused, { text: "log.view-refused. event.asks-left-many", notice: "without-notice" });
  const closed = customerNews([entry("info", "outcome.customer-closed")], snapshot("ended"));
  assert.deepEqual(closed, { text: "outcome.customer-closed", notice: "without-notice" });
  const wrong = customerNews([entry("trouble", "failure.wrong-code")], snapshot("failed", { connected_at: null }));
  assert.equal(wrong, null);
});
