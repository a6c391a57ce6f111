// Notices to the agent: pure functions of snapshots and input. alerts.ts shows it.

import { type LogEntry, type Snapshot, supports } from "./protocol.ts";
import { asksLeftText } from "./status-text.ts";
import { say, t } from "./texts.ts";

export interface News {
  text: string;
  /** Whether a notice shows it; the page may say it already. */
  notice: "with-notice" | "without-notice";
}

/** Keys that move the focus or only modify others. */
const SILENT_KEYS = ["Tab", "Shift", "Control", "Alt", "Meta", "AltGraph"];

/** Returns what the customer did, from the log's new entries; null if that is nothing. */
export function customerNews(entries: readonly LogEntry[], snapshot: Snapshot): News | null {
  const { session, phase, outcome } = snapshot;
  // A code that was refused is told beside the form.
  const kinds = session?.connected_at == null ? [] : ["given", "refused", "trouble"];
  const told = entries.filter((entry) => kinds.includes(entry.kind)).at(-1);
  if (told === undefined || session === null) {
    const closed = phase === "ended" && entries.length > 0 && outcome?.name === "customer-closed";
    return closed ? { text: say(outcome.text), notice: "without-notice" } : null;
  }
  const text = say(told.text);
  const refused = (["view", "control", "restart"] as const).find((kind) => told.text.key === `log.${kind}-refused`);
  return {
    text: refused === undefined ? text : `${text}. ${asksLeftText(session, refused)}`,
    // In place of the picture the page says itself that it may not be seen.
    notice: phase === "connected" && refused !== "view" ? "with-notice" : "without-notice",
  };
}

/** Returns that a key or a click in the picture went nowhere; null if it was sent, or only moved. */
export function lostInput(event: KeyboardEvent | MouseEvent, snapshot: Snapshot | null): string | null {
  const silent = event instanceof KeyboardEvent && SILENT_KEYS.includes(event.key);
  if (snapshot?.phase === "interrupted" && !silent) {
    return t("event.interrupted");
  }
  const session = snapshot?.phase === "connected" ? snapshot.session : null;
  if (session === null || !session.permissions.view || session.permissions.control || silent) {
    return null;
  }
  return supports(session.customer, "control") ? t("event.no-control") : t("bar.view-only-more");
}
