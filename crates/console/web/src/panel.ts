// The side panel: facts about the customer's computer, the other backends, the log.

import { byId, element, setText, show } from "./dom.ts";
import { type Customer, type LogEntry, type Session, supports, type Traffic, type UsableBackend } from "./protocol.ts";
import { unusableText } from "./status-text.ts";

export class Panel {
  readonly #customer = byId("customer", HTMLElement);
  readonly #facts = byId("facts", HTMLElement);
  readonly #others = byId("others", HTMLElement);
  readonly #backends = byId("backends", HTMLElement);
  readonly #askSwitch: (backend: string) => void;
  /** The facts that are drawn now, as JSON. */
  #drawn = "";
  #traffic: Traffic | null = null;

  constructor(askSwitch: (backend: string) => void) {
    this.#askSwitch = askSwitch;
  }

  /** Shows a session's facts and buttons. Redraws them only after a change, to keep the focus. */
  update(session: Session | null, live: boolean): void {
    const customer = session?.customer ?? null;
    show(this.#customer, customer !== null);
    show(this.#others, customer !== null && live && otherBackends(customer).length > 0);
    if (!live) {
      this.#traffic = null;
    }
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

  showTraffic(traffic: Traffic): void {
    this.#traffic = traffic;
    const fact = document.getElementById("fact-line");
    if (fact !== null) {
      setText(fact, lineText(traffic));
    }
  }

  #drawFacts(customer: Customer, live: boolean): void {
    const facts: [string, string, string][] = [
      ["Connected by", customer.label, "backend"],
      ["Tool", toolText(customer), "tool"],
      ["System", customer.system, "system"],
      ["Program", customer.app_version === null ? "version not told" : `version ${customer.app_version}`, "app"],
      ["Etätuki", `${customer.launcher_version}, plugin ${customer.plugin_version}`, "launcher"],
    ];
    if (customer.only_program !== undefined) {
      facts.push(["Shared", `only ${customer.only_program}`, "shared"]);
    }
    const lacks = (["control", "clipboard"] as const).filter((feature) => !supports(customer, feature));
    if (lacks.length > 0) {
      facts.push(["Without", lacks.join(", "), "without"]);
    }
    if (live) {
      facts.push(["Line", this.#traffic === null ? "encrypted" : lineText(this.#traffic), "line"]);
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
      "aria-label": `Ask to switch to ${backend.label}`,
      title: "The customer is asked. This session ends and a new code appears there.",
    }, asked ? "Asking…" : "Ask to switch");
    button.disabled = session.asking !== null;
    button.addEventListener("click", () => this.#askSwitch(backend.id));
    item.append(button);
    return item;
  }
}

function otherBackends(customer: Customer): UsableBackend[] {
  return customer.usable.filter((backend) => backend.id !== customer.backend);
}

function toolText(customer: Customer): string {
  if (customer.tool === null) {
    return "built in";
  }
  return customer.tool_version === null ? customer.tool : `${customer.tool} ${customer.tool_version}`;
}

function lineText(traffic: Traffic): string {
  const path = { direct: "direct", relayed: "through the relay", unknown: "open" }[traffic.path];
  return `encrypted, ${path}; ${bytes(traffic.received)} in, ${bytes(traffic.sent)} out`;
}

function bytes(count: number): string {
  if (count < 1e6) {
    return `${Math.round(count / 1e3)} kB`;
  }
  return count < 1e9 ? `${(count / 1e6).toFixed(1)} MB` : `${(count / 1e9).toFixed(2)} GB`;
}

export class Log {
  readonly #list = byId("log", HTMLElement);
  readonly #copy = byId("copy-log", HTMLButtonElement);
  #entries: LogEntry[] = [];

  constructor() {
    // Keeps the newest entry in sight when the sections above grow or shrink.
    new ResizeObserver(() => this.#scrollToEnd()).observe(this.#list);
    this.#copy.addEventListener("click", () => void this.#copyAll());
  }

  /**
   * Appends new entries. A list that begins differently belongs to another session and replaces the
   * log.
   */
  update(entries: LogEntry[]): void {
    const drawn = this.#entries;
    const continues = drawn.every((entry, index) => isSame(entry, entries[index]));
    if (!continues) {
      this.#list.replaceChildren();
    }
    const added = continues ? entries.slice(drawn.length) : entries;
    this.#list.append(...added.map(entryElement));
    this.#entries = entries;
    show(this.#list, entries.length > 0);
    show(this.#copy, entries.length > 0);
    if (added.length > 0) {
      this.#scrollToEnd();
    }
  }

  #scrollToEnd(): void {
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  async #copyAll(): Promise<void> {
    const text = this.#entries.map((entry) => `${timestamp(entry.at)}  ${entry.text}`).join("\n");
    let done = true;
    await navigator.clipboard.writeText(`${text}\n`).catch(() => { done = false; });
    setText(this.#copy, done ? "Copied" : "Not allowed");
    window.setTimeout(() => setText(this.#copy, "Copy"), 1500);
  }
}

function isSame(one: LogEntry, other: LogEntry | undefined): boolean {
  return other !== undefined && one.at === other.at && one.text === other.text;
}

function entryElement(entry: LogEntry): HTMLElement {
  const time = new Date(entry.at);
  return element("li", { "data-kind": entry.kind },
    element("time", { datetime: time.toISOString() }, clockTime(time)),
    element("span", {}, entry.text));
}

function clockTime(time: Date): string {
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

function timestamp(at: number): string {
  const time = new Date(at);
  const day = [time.getFullYear(), time.getMonth() + 1, time.getDate()].map((part) => String(part).padStart(2, "0"));
  return `${day.join("-")} ${clockTime(time)}`;
}
