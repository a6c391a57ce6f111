// The side panel: facts about the customer's computer, the other backends, the log.

import { byId, element, setText, show } from "./dom.ts";
import { type Customer, type LogEntry, type Session, supports, type Traffic, type UsableBackend } from "./protocol.ts";
import type { CaseNote } from "./case-note.ts";
import { unusableText } from "./status-text.ts";
import { language, say, t } from "./texts.ts";

export class Panel {
  readonly #customer = byId("customer", HTMLElement);
  readonly #facts = byId("facts", HTMLElement);
  readonly #others = byId("others", HTMLElement);
  readonly #backends = byId("backends", HTMLElement);
  readonly #restartRow = byId("restart-row", HTMLElement);
  readonly #restartNote = byId("restart-note", HTMLElement);
  readonly #restart = byId("ask-restart", HTMLButtonElement);
  readonly #askSwitch: (backend: string) => void;
  /** The facts that are drawn now, as JSON. */
  #drawn = "";
  #traffic: Traffic | null = null;

  constructor(askSwitch: (backend: string) => void, askRestart: () => void) {
    this.#askSwitch = askSwitch;
    this.#restart.addEventListener("click", askRestart);
  }

  /** Shows a session's facts and buttons. Redraws them only after a change, to keep the focus. */
  update(session: Session | null, live: boolean): void {
    const customer = session?.customer ?? null;
    show(this.#customer, customer !== null);
    show(this.#others, customer !== null && live && otherBackends(customer).length > 0);
    if (!live) {
      this.#traffic = null;
    }
    this.#drawRestart(live ? session : null);
    const current = JSON.stringify([customer, session?.asking, live]);
    if (customer === null || session === null || current === this.#drawn) {
      return;
    }
    this.#drawn = current;
    this.#drawFacts(customer, live);
    this.#backends.replaceChildren(
      ...otherBackends(customer).map((backend) => this.#backend(backend, session)),
    );
  }

  /** Shows the button that asks for a return after a restart, or how that stands. */
  #drawRestart(session: Session | null): void {
    const until = session?.restart_until ?? null;
    const refused = until === null && session?.asks_left.restart === 0;
    show(this.#restartRow, session !== null && until === null && !refused && session.permissions.view);
    setText(this.#restart, t(session?.asking?.kind === "restart" ? "bar.asking" : "panel.ask-restart"));
    this.#restart.disabled = session !== null && session.asking !== null;
    show(this.#restartNote, until !== null || refused);
    const time = new Date(until ?? 0).toLocaleTimeString(language(), { hour: "2-digit", minute: "2-digit" });
    setText(this.#restartNote, refused ? t("panel.restart-refused") : t("panel.restart-until", { time }));
  }

  showTraffic(traffic: Traffic): void {
    this.#traffic = traffic;
    const fact = document.getElementById("fact-line");
    if (fact !== null) {
      setText(fact, trafficText(traffic));
    }
  }

  #drawFacts(customer: Customer, live: boolean): void {
    const facts: [string, string, string][] = [[t("panel.backend"), customer.label, "backend"]];
    if (customer.tool !== null) {
      facts.push([t("panel.tool"), [customer.tool, customer.tool_version ?? ""].join(" ").trim(), "tool"]);
    }
    facts.push(
      [t("panel.system"), customer.system, "system"],
      [t("panel.program"), programText(customer), "app"],
      [t("panel.launcher"),
        t("panel.launcher-more", { launcher: customer.launcher_version, plugin: customer.plugin_version }), "launcher"],
    );
    const language = LANGUAGES[customer.wording?.language ?? ""];
    if (language !== undefined) {
      facts.push([t("panel.language"), t(language), "language"]);
    }
    if (customer.only_program !== undefined) {
      facts.push([t("panel.shared"), t("panel.only", { program: customer.only_program }), "shared"]);
    }
    const lacks = FEATURES.filter(([feature]) => !supports(customer, feature)).map(([, key]) => t(key));
    if (lacks.length > 0) {
      facts.push([t("panel.lacks"), lacks.join(", "), "without"]);
    }
    if (live) {
      facts.push([t("panel.line"), this.#traffic === null ? t("panel.encrypted") : trafficText(this.#traffic), "line"]);
    }
    this.#facts.replaceChildren(
      ...facts.flatMap(([name, text, id]) => [
        element("dt", {}, name),
        element("dd", { id: `fact-${id}`, "data-testid": `fact-${id}` }, text),
      ]),
    );
  }

  #backend(backend: UsableBackend, session: Session): HTMLElement {
    const item = element("li", { "data-testid": `backend-${backend.id}` });
    item.append(element("span", { class: "name" }, backend.label));
    if (!backend.usable) {
      item.append(element("span", { class: "note" }, unusableText(backend.reason)));
      return item;
    }
    const asked = session.asking?.kind === "switch" && session.asking.backend === backend.id;
    const button = element("button", {
      "data-testid": `ask-switch-${backend.id}`,
      "aria-label": asked ? t("bar.asking") : t("panel.ask-switch-to", { label: backend.label }),
      title: t("panel.ask-switch-more"),
    }, asked ? t("bar.asking") : t("panel.ask-switch"));
    button.disabled = session.asking !== null;
    button.addEventListener("click", () => this.#askSwitch(backend.id));
    item.append(button);
    return item;
  }
}

function otherBackends(customer: Customer): UsableBackend[] {
  return customer.usable.filter((backend) => backend.id !== customer.backend);
}

/** Names of the languages of the customer's windows. */
const LANGUAGES: Readonly<Record<string, string>> = { fi: "panel.fi", sv: "panel.sv", en: "panel.en" };

/** Names of the features that a backend may lack. */
const FEATURES = [["control", "panel.control"], ["clipboard", "panel.clipboard"]] as const;

function programText(customer: Customer): string {
  return customer.app_version === null ? t("panel.not-told") : t("panel.version", { version: customer.app_version });
}

function trafficText(traffic: Traffic): string {
  return t("panel.traffic", { received: bytes(traffic.received), sent: bytes(traffic.sent) });
}

/** Returns the line's path and round trip for the bar, and what the path means. */
export function lineText(traffic: Traffic): { text: string; title: string } {
  const [path, title] = { direct: ["bar.direct", "bar.direct-more"], relayed: ["bar.relayed", "bar.relayed-more"],
    unknown: ["bar.open", ""] }[traffic.path] as [string, string];
  const ms = traffic.round_trip_ms;
  return { text: ms === null ? t(path) : t("bar.round-trip", { path: t(path), ms: ms === 0 ? "< 1" : ms }), title: title === "" ? "" : t(title) };
}

/** Returns a number of bytes in a person's units. */
export function bytes(count: number): string {
  const [unit, divisor, digits] = count < 1e6 ? ["kilobyte", 1e3, 0] : count < 1e9 ? ["megabyte", 1e6, 1] : ["gigabyte", 1e9, 2];
  return new Intl.NumberFormat(language(), { style: "unit", unit: String(unit), maximumFractionDigits: Number(digits) })
    .format(count / Number(divisor));
}

export class Log {
  readonly #log = byId("log", HTMLElement);
  readonly #list = byId("log-entries", HTMLElement);
  readonly #copy = byId("copy-log", HTMLButtonElement);
  readonly #note: CaseNote;
  #entries: LogEntry[] = [];

  /** `note` is copied with the log. */
  constructor(note: CaseNote) {
    this.#note = note;
    // Keeps the newest entry in sight when the sections above grow or shrink.
    new ResizeObserver(() => this.#scrollToEnd()).observe(this.#log);
    this.#copy.addEventListener("click", () => void this.#copyAll());
  }

  /**
   * Appends new entries and returns them. A list that begins differently belongs to another session
   * and replaces the log.
   */
  update(entries: LogEntry[]): LogEntry[] {
    const drawn = this.#entries;
    const continues = drawn.every((entry, index) => isSame(entry, entries[index]));
    if (!continues) {
      this.#list.replaceChildren();
    }
    const added = continues ? entries.slice(drawn.length) : entries;
    this.#list.append(...added.map(entryElement));
    this.#entries = entries;
    show(this.#log, entries.length > 0);
    show(this.#copy, entries.length > 0);
    if (added.length > 0) {
      this.#scrollToEnd();
    }
    return added;
  }

  #scrollToEnd(): void {
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  async #copyAll(): Promise<void> {
    const { above, below } = this.#note.lines();
    const log = this.#entries.map((entry) => `${timestamp(entry.at)}  ${say(entry.text)}`);
    const text = [...above, ...log, ...below].join("\n");
    let done = true;
    await navigator.clipboard.writeText(`${text}\n`).catch(() => { done = false; });
    setText(this.#copy, done ? t("log.copied") : t("log.not-copied"));
    window.setTimeout(() => setText(this.#copy, t("log.copy")), 1500);
  }
}

function isSame(one: LogEntry, other: LogEntry | undefined): boolean {
  return other !== undefined && one.at === other.at && say(one.text) === say(other.text);
}

function entryElement(entry: LogEntry): HTMLElement {
  const time = new Date(entry.at);
  return element("li", { "data-kind": entry.kind },
    element("time", { datetime: time.toISOString() }, clockTime(time)),
    element("span", {}, say(entry.text)));
}

function clockTime(time: Date): string {
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

function timestamp(at: number): string {
  const time = new Date(at);
  const day = [time.getFullYear(), time.getMonth() + 1, time.getDate()].map((part) => String(part).padStart(2, "0"));
  return `${day.join("-")} ${clockTime(time)}`;
}
