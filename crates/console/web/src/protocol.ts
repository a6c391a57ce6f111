// What the page and the console's program say to each other on /events.
// The Rust side of it is src/desk/view.rs and src/web/events.rs.

export type Phase = "ready" | "looking-up" | "connecting" | "connected" | "ended" | "failed";
export type CodeForm = "remoteus" | "ecom";

export interface Agent {
  name: string;
  organisation: string;
}

export interface About {
  version: string;
  service: string;
  agent: Agent;
  /** Unix time in seconds after which the service and the customers refuse the agent's card. */
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
  /** The program that alone is shared. */
  only_program?: string;
}

export type AskKind = "view" | "control" | "switch";

export interface Asking {
  kind: AskKind;
  backend: string | null;
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
  /** Rises by one for every code that was tried. */
  number: number;
  form: CodeForm;
  /** The part of the code that is no secret, in threes. */
  caption: string;
  customer: Customer | null;
  permissions: { view: boolean; control: boolean };
  asking: Asking | null;
  asks_left: { view: number; control: number };
  /** The size of the customer's screen has arrived, so a viewer can be attached. */
  picture: boolean;
  desktop: Desktop | null;
  /** Unix times in milliseconds. */
  connected_at: number | null;
  ended_at: number | null;
}

export interface LogEntry {
  at: number;
  kind: "info" | "asked" | "given" | "refused" | "trouble";
  text: string;
}

export interface Outcome {
  name: string;
  text: string;
}

export interface Snapshot {
  type: "snapshot";
  about: About;
  phase: Phase;
  session: Session | null;
  /** Why it ended or failed. */
  outcome: Outcome | null;
  log: LogEntry[];
}

export interface Traffic {
  type: "traffic";
  sent: number;
  received: number;
  path: "direct" | "relayed" | "unknown";
}

/** Where the customer moved the pointer to, in pixels of the desktop. */
export interface PointerPlace {
  type: "pointer";
  x: number;
  y: number;
}

export interface ClipboardText {
  type: "clipboard";
  text: string;
}

export type FromConsole = Snapshot | Traffic | PointerPlace | ClipboardText;

export type ToConsole =
  | { type: "connect"; code: string; password?: string }
  | { type: "ask-view" }
  | { type: "ask-control" }
  | { type: "ask-switch"; backend: string }
  | { type: "clipboard"; text: string }
  | { type: "end" };
