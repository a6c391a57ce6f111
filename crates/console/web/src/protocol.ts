// The messages on /events between the page and the console program. Their Rust side is
// src/controller/snapshot.rs and src/web/events.rs.

import type { CodeLabels, Message } from "./texts.ts";

export type Phase = "ready" | "looking-up" | "connecting" | "connected" | "interrupted" | "ended" | "failed";
export type CodeForm = "remoteus" | "ecom";

export interface Agent {
  name: string;
  organisation: string;
}

export interface About {
  version: string;
  service: string;
  agent: Agent;
  /** Unix time in seconds; from then on the service and the customers refuse the agent's card. */
  card_expires: number;
}

export interface UsableBackend {
  id: string;
  label: string;
  usable: boolean;
  reason: string | null;
}

export interface Customer {
  backend: string;
  label: string;
  tool: string | null;
  tool_version: string | null;
  plugin_version: string;
  system: string;
  app_version: string | null;
  usable: UsableBackend[];
  launcher_version: string;
  /** The only program that is shared; absent when the whole screen is. */
  only_program?: string;
  /** Features that the backend lacks; absent when it has all. */
  unsupported?: Feature[];
  /** The words of the customer's windows; absent when an accounting program's windows show code and questions. */
  wording?: CodeLabels;
}

export type Feature = "control" | "clipboard" | "resize";

/** Whether the customer's backend has a feature. */
export function supports(customer: Customer | null, feature: Feature): boolean {
  return customer?.unsupported?.includes(feature) !== true;
}

/** The state of the customer's screen, by its stable name (docs/link-protocol.md). */
export type ScreenCondition = "visible" | "tool-hung" | "plugin-hung" | "line-slow" | "other-session" | "locked"
  | "blanked" | "program-hung";

export interface ScreenState {
  condition: ScreenCondition;
  /** Unix time in milliseconds at which the picture was last known to be true; null while it is. */
  true_at: number | null;
}

export type AskKind = "view" | "control" | "restart" | "switch";

export interface Asking {
  kind: AskKind;
  backend: string | null;
  /** The question as the customer reads it; null until it has come, or when it isn't known here. */
  shown: QuestionText | null;
  /** Unix time in milliseconds at which the question counts as refused; known with `shown`. */
  until: number | null;
}

/** A question in the customer's language. */
export interface QuestionText {
  question: string;
  explanation: string;
  buttons: AnswerButton[];
}

export interface AnswerButton {
  label: string;
  answer: "allow" | "allow-program" | "deny";
}

export interface Screen {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** The customer's desktop in pixels, and its screens from left to right. */
export interface Desktop {
  width: number;
  height: number;
  screens: Screen[];
}

export interface Session {
  /** Counts the codes that were tried. */
  number: number;
  form: CodeForm;
  /** The part of the code that is not secret, in groups of three digits. */
  caption: string;
  customer: Customer | null;
  permissions: { view: boolean; control: boolean };
  asking: Asking | null;
  screen: ScreenState;
  asks_left: { view: number; control: number; restart: number };
  /** Whether the size of the customer's screen has arrived, so that a viewer can be attached. */
  picture: boolean;
  desktop: Desktop | null;
  /** Unix time in milliseconds. */
  connected_at: number | null;
  /** Unix time in milliseconds at which an interrupted link is lost; null while it works. */
  interrupted_until: number | null;
  /** Unix time in milliseconds until which the customer's side comes back after a restart; null if it doesn't. */
  restart_until: number | null;
  /** Unix time in milliseconds. */
  ended_at: number | null;
}

export interface LogEntry {
  /** Unix time in milliseconds. */
  at: number;
  kind: "info" | "asked" | "given" | "refused" | "trouble";
  text: Message;
}

export interface Outcome {
  name: string;
  text: Message;
}

/** Whether the next code can be tried: the last check of service and card. */
export type Readiness =
  | { state: "checking" | "ready" }
  | { state: "no-service" | "card-refused"; name: string };

export interface Snapshot {
  type: "snapshot";
  about: About;
  readiness: Readiness;
  phase: Phase;
  session: Session | null;
  /** Why the session ended or failed. */
  outcome: Outcome | null;
  log: LogEntry[];
}

export interface Traffic {
  type: "traffic";
  /** Bytes on the link since its start, headers included. */
  sent: number;
  received: number;
  path: "direct" | "relayed" | "unknown";
  round_trip_ms: number | null;
  /** Whether the customer's end was heard just now. */
  heard: boolean;
}

/** The customer's pointer after the customer moved it, in pixels of the desktop. */
export interface PointerPosition {
  type: "pointer";
  x: number;
  y: number;
}

export interface ClipboardText {
  type: "clipboard";
  text: string;
}

export type FromConsole = Snapshot | Traffic | PointerPosition | ClipboardText;

export type ToConsole =
  | { type: "connect"; code: string; password?: string }
  | { type: "ask-view" }
  | { type: "ask-control" }
  | { type: "ask-restart" }
  | { type: "ask-switch"; backend: string }
  | { type: "clipboard"; text: string }
  | { type: "end" };
