// The question on the customer's screen: word for word in the customer's language, with the meaning
// of each part in the agent's, so that the agent can name a button as the customer sees it.

import { element, setText, show } from "./dom.ts";
import type { AnswerButton, Asking, Session } from "./protocol.ts";
import { language, t } from "./texts.ts";

export class QuestionCard {
  readonly #target: HTMLElement;
  /** The card that is drawn now, as JSON. */
  #drawn = "";
  #until: number | null = null;

  constructor(target: HTMLElement) {
    this.#target = target;
  }

  /** Shows a session's open question, or nothing. */
  update(session: Session | null): void {
    const asking = session?.asking ?? null;
    show(this.#target, asking !== null);
    this.#until = asking?.until ?? null;
    const wording = session?.customer?.wording ?? null;
    const current = JSON.stringify([asking, wording?.language]);
    if (current === this.#drawn) {
      return;
    }
    this.#drawn = current;
    this.#target.replaceChildren();
    if (session === null || asking === null) {
      return;
    }
    if (asking.shown === null) {
      const embedded = session.customer !== null && wording === null;
      this.#target.append(element("p", { class: "meaning" }, meaning(session, asking)));
      if (embedded) {
        this.#target.append(element("p", {}, t("question.own-window")));
      }
      return;
    }
    const { question, explanation, buttons } = asking.shown;
    const theirs = wording?.language ?? "";
    const translate = theirs !== language();
    this.#target.append(
      element("p", {}, t("question.reads")),
      element("blockquote", { lang: theirs, "data-testid": "quote" },
        element("p", { class: "asked" }, question), element("p", {}, explanation)),
    );
    if (translate || asking.kind === "switch") {
      this.#target.append(element("p", { class: "meaning" }, meaning(session, asking)));
    }
    const list = element("ul", { class: "answers", "aria-label": t("question.buttons") },
      ...buttons.map((button) => buttonItem(button, asking, buttons, theirs)));
    this.#target.append(list, element("p", { class: "countdown", role: "timer" }));
    this.tick();
  }

  /** Redraws the time that the customer has left, as the customer sees it. */
  tick(): void {
    const countdown = this.#target.querySelector<HTMLElement>(".countdown");
    if (countdown !== null && this.#until !== null) {
      const seconds = Math.max(0, Math.ceil((this.#until - Date.now()) / 1000));
      setText(countdown, t("question.countdown", { seconds }));
    }
  }
}

function buttonItem(button: AnswerButton, asking: Asking, all: AnswerButton[], lang: string): HTMLElement {
  return element("li", {},
    element("b", { lang }, button.label), " ", element("span", {}, answerMeaning(button, asking, all)));
}

/** Returns what a button of the customer's does, in the agent's language. */
function answerMeaning(button: AnswerButton, asking: Asking, all: AnswerButton[]): string {
  switch (button.answer) {
    case "deny": return t("question.deny");
    case "allow-program": return t("question.allow-program");
    case "allow": break;
  }
  if (all.some((other) => other.answer === "allow-program")) {
    return t("question.allow-all");
  }
  switch (asking.kind) {
    case "view": return t("question.allow-view");
    case "control": return t("question.allow-control");
    case "restart": return t("question.allow-restart");
    case "switch": return t("question.allow-switch");
  }
}

/** Returns the question in the agent's language. */
function meaning(session: Session, asking: Asking): string {
  switch (asking.kind) {
    case "view": return t("question.view");
    case "control": return t("question.control");
    case "restart": return t("question.restart");
    case "switch": {
      const target = session.customer?.usable.find((backend) => backend.id === asking.backend);
      return t("question.switch", { label: target?.label ?? asking.backend ?? "" });
    }
  }
}
