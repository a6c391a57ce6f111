// The page's sentences about a session's state: pure functions of a snapshot.

import { type Session, type Snapshot, supports } from "./protocol.ts";

/** Returns the state in one or two words, for the bar. */
export function stateText(snapshot: Snapshot): string {
  switch (snapshot.phase) {
    case "ready": return "Ready";
    case "looking-up": return "Looking up";
    case "connecting": return "Connecting";
    case "ended": return "Ended";
    case "failed": return "Not connected";
    case "connected": return connectedText(snapshot.session);
  }
}

function connectedText(session: Session | null): string {
  if (session?.permissions.control) {
    return "In control";
  }
  return session?.permissions.view ? "Viewing" : "Connected";
}

const UNUSABLE_TEXTS: Readonly<Record<string, string>> = {
  "tool-missing": "not installed on the customer's computer",
  "tool-too-old": "installed there in a version that doesn't fit",
  "tool-failed": "installed there, but it doesn't start",
  "display-missing": "there is no display that it can share",
  "display-unsupported": "the customer's display can't be shared",
  "plugin-missing": "its installation there is not complete",
  "plugin-refused": "refused there: it may have been tampered with",
  "plugin-wrong-version": "its version there doesn't fit the launcher",
  "registry-broken": "there is a mistake in its settings there",
};

/**
 * Returns why a backend can't be used on the customer's computer, from the reason's stable name.
 */
export function unusableText(reason: string | null): string {
  if (reason === null) {
    return "can't be used there";
  }
  return UNUSABLE_TEXTS[reason] ?? `can't be used there (${reason})`;
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
  const { phase, session, about } = snapshot;
  if (phase === "looking-up") {
    return progress("Looking up the code…", "");
  }
  if (phase === "connecting") {
    return progress("Connecting to the customer…", "Both sides prove that they know the code.");
  }
  if (phase !== "connected" || session === null || session.permissions.view) {
    return null;
  }
  if (session.asking?.kind === "switch") {
    return progress("Asking to switch", switchText(session));
  }
  if (session.asking !== null) {
    return progress("Waiting for the customer's permission",
      `The customer now reads: “May ${about.agent.name} (${about.agent.organisation}) see your screen?” ` +
      "Ask them to press the button that allows it.");
  }
  const left = session.asks_left.view;
  return {
    title: "The customer hasn't allowed you to see the screen",
    text: left > 0 ? `Talk it over, then ask again (${times(left)} left).` : "You can't ask again in this session.",
    spinner: false,
    mayAskView: left > 0,
  };
}

function progress(title: string, text: string): WaitNotice {
  return { title, text, spinner: true, mayAskView: false };
}

/** Returns the question on the customer's screen while the picture is shown, or null. */
export function questionText(snapshot: Snapshot): string | null {
  const session = snapshot.phase === "connected" ? snapshot.session : null;
  if (session === null || !session.permissions.view) {
    return null;
  }
  switch (session.asking?.kind) {
    case "control": return "The customer is being asked whether you may use the mouse and keyboard.";
    case "switch": return switchText(session);
    default: return null;
  }
}

function switchText(session: Session): string {
  const target = session.customer?.usable.find((backend) => backend.id === session.asking?.backend);
  const name = target?.label ?? "another backend";
  return `The customer is being asked to switch to ${name}. If they agree, this session ends and they read you a new code.`;
}

export interface AskControlButton {
  label: string;
  enabled: boolean;
  title: string;
}

/** Returns the state of the button that asks for control. */
export function askControlButton(session: Session): AskControlButton {
  if (session.permissions.control) {
    return { label: "You have control", enabled: false, title: "The customer can take it back at any time" };
  }
  if (!supports(session.customer, "control")) {
    return { label: "View only", enabled: false, title: "The customer's tool takes neither keys nor mouse" };
  }
  if (session.asking?.kind === "control") {
    return { label: "Asking…", enabled: false, title: "The question is on the customer's screen" };
  }
  if (session.asks_left.control === 0) {
    return { label: "Control refused", enabled: false, title: "You can't ask again in this session" };
  }
  const enabled = session.permissions.view && session.asking === null;
  return { label: "Ask for control", enabled, title: "Ctrl+Alt+Shift+C" };
}

function times(count: number): string {
  return count === 1 ? "once more" : `${count} times`;
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
