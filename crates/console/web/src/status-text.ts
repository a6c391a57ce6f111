// The page's sentences about a session's state: pure functions of a snapshot.

import { type AskKind, type Readiness, type Session, type Snapshot, supports } from "./protocol.ts";
import { plural, t } from "./texts.ts";

/** Returns the state in one or two words, for the bar. */
export function stateText(snapshot: Snapshot): string {
  switch (snapshot.phase) {
    case "ready": return readinessText(snapshot.readiness);
    case "looking-up": return t("state.looking-up");
    case "connecting": return t("state.connecting");
    case "ended": return t("state.ended");
    case "failed": return t("state.failed");
    case "interrupted": return t("state.interrupted");
    case "connected": return connectedText(snapshot.session);
  }
}

function readinessText(readiness: Readiness): string {
  switch (readiness.state) {
    case "checking": return t("state.checking");
    case "ready": return t("state.ready");
    case "no-service": return t("state.no-service");
    case "card-refused": return t("state.card-refused");
  }
}

/** Sentences about the card's faults, by their stable names. */
const CARD_FAULTS: Readonly<Record<string, string>> = {
  "card-expired": "failure.card-expired",
  "card-not-yet-valid": "failure.card-not-yet-valid",
  "card-revoked": "failure.card-revoked",
  "card-unknown-vendor": "failure.card-unknown-vendor",
  "card-bad-proof": "failure.card-bad-proof",
};

/** Sentences about a service that isn't reached, by the cause's stable name. */
const SERVICE_FAULTS: Readonly<Record<string, string>> = {
  "service-unreachable": "failure.service-unreachable",
  "network-offline": "failure.network-offline",
  "dns-silent": "failure.dns-silent",
  "dns-name-unknown": "failure.dns-name-unknown",
  "connection-refused": "failure.connection-refused",
  "proxy-unreachable": "failure.proxy-unreachable",
  "proxy-login": "failure.proxy-login",
  "proxy-refused": "failure.proxy-refused",
  "proxy-unsupported": "failure.proxy-unsupported",
  "certificate-untrusted": "failure.certificate-untrusted",
  "login-page": "failure.login-page",
  "own-clock": "failure.own-clock",
};

/** Returns why no code can be tried now, or null. */
export function readinessNotice(readiness: Readiness): string | null {
  switch (readiness.state) {
    case "no-service": {
      const cause = t(SERVICE_FAULTS[readiness.name] ?? "failure.service-error", { detail: readiness.name });
      return t("readiness.no-service", { cause });
    }
    case "card-refused": return t(CARD_FAULTS[readiness.name] ?? "failure.card-refused", { name: readiness.name });
    default: return null;
  }
}

function connectedText(session: Session | null): string {
  if (session?.permissions.control) {
    return t("state.controlling");
  }
  return session?.permissions.view ? t("state.viewing") : t("state.connected");
}

const UNUSABLE_TEXTS: Readonly<Record<string, string>> = {
  "tool-missing": "panel.tool-missing",
  "tool-too-old": "panel.tool-too-old",
  "tool-failed": "panel.tool-failed",
  "tool-died": "panel.tool-failed",
  "display-missing": "panel.display-missing",
  "display-lost": "panel.display-missing",
  "display-unsupported": "panel.display-unsupported",
  "display-wayland": "panel.display-wayland",
  "display-too-large": "panel.display-too-large",
  "plugin-missing": "panel.plugin-missing",
  "plugin-refused": "panel.plugin-refused",
  "plugin-wrong-version": "panel.plugin-wrong-version",
  "plugin-unverifiable": "panel.plugin-unverifiable",
  "plugin-died": "panel.plugin-failed",
  "plugin-hung": "panel.plugin-failed",
  "plugin-failed": "panel.plugin-failed",
  "registry-broken": "panel.registry-broken",
};

/**
 * Returns why a backend can't be used on the customer's computer, from the reason's stable name.
 */
export function unusableText(reason: string | null): string {
  if (reason === null) {
    return t("panel.unusable");
  }
  const key = UNUSABLE_TEXTS[reason];
  return key === undefined ? t("panel.unusable-other", { reason }) : t(key);
}

export interface WaitNotice {
  title: string;
  text: string;
  spinner: boolean;
  mayAskView: boolean;
}

/**
 * Returns the notice in the picture's place, or null when the picture or the form for the code is
 * shown.
 */
export function waitNotice(snapshot: Snapshot): WaitNotice | null {
  const { phase, session } = snapshot;
  if (phase === "looking-up") {
    return progress(t("wait.looking-up"), "");
  }
  if (phase === "connecting") {
    return progress(t("wait.connecting"), t("wait.connecting-more"));
  }
  if (phase !== "connected" || session === null || session.permissions.view) {
    return null;
  }
  if (session.asking !== null) {
    return progress(session.asking.kind === "switch" ? t("wait.switch") : t("wait.view"), "");
  }
  const left = session.asks_left.view;
  return {
    title: t("wait.denied"),
    text: left > 0 ? plural("wait.denied", left) : t("wait.denied-none"),
    spinner: false,
    mayAskView: left > 0,
  };
}

function progress(title: string, text: string): WaitNotice {
  return { title, text, spinner: true, mayAskView: false };
}

const ASKS_LEFT_TOTAL = 3;

export interface AskControlButton {
  label: string;
  enabled: boolean;
  title: string;
}

/** Returns the state of the button that asks for control. */
export function askControlButton(session: Session): AskControlButton {
  if (session.permissions.control) {
    return { label: t("bar.in-control"), enabled: false, title: t("bar.in-control-more") };
  }
  if (!supports(session.customer, "control")) {
    return { label: t("bar.view-only"), enabled: false, title: t("bar.view-only-more") };
  }
  if (session.asking?.kind === "control") {
    return { label: t("bar.asking"), enabled: false, title: t("bar.asking-more") };
  }
  const left = session.asks_left.control;
  if (left === 0) {
    return { label: t("bar.refused"), enabled: false, title: t("bar.refused-more") };
  }
  const enabled = session.permissions.view && session.asking === null;
  const label = left < ASKS_LEFT_TOTAL ? t("bar.ask-control-left", { left }) : t("bar.ask-control");
  return { label, enabled, title: "Ctrl+Alt+Shift+C" };
}

/** Returns how often a refused question may be asked again. */
export function asksLeftText(session: Session, kind: AskKind): string {
  if (kind === "switch") {
    return "";
  }
  const left = session.asks_left[kind];
  return left > 0 ? plural("event.asks-left", left) : t("event.asks-left-none");
}

/** Returns what an interruption means and how long the link is tried again; null while it works. */
export function interruptionText(session: Session | null, now: number): string | null {
  const until = session?.interrupted_until ?? null;
  if (until === null) {
    return null;
  }
  // Rounded up, as at the customer's: the last second counts.
  const left = Math.ceil(Math.max(0, until - now) / 1000) * 1000;
  return t(mayRestart(session) ? "wait.restarting-more" : "wait.interrupted-more", { time: duration(left) });
}

/** Returns what has happened to an interrupted link. */
export function interruptionTitle(session: Session | null): string {
  return t(mayRestart(session) ? "wait.restarting" : "wait.interrupted");
}

function mayRestart(session: Session | null): boolean {
  return session !== null && session.restart_until !== null;
}

/** Formats a duration as m:ss, or h:mm:ss from one hour on. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const two = (part: number): string => String(part).padStart(2, "0");
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes}:${two(seconds % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}
