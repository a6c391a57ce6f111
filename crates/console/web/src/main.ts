// The whole page: draws each snapshot that the console program sends, and sends each command of the
// agent.

import { Alerts } from "./alerts.ts";
import { CaseNote } from "./case-note.ts";
import { Clipboard } from "./clipboard.ts";
import { CodeEntry } from "./code-entry.ts";
import { byId, setText, show } from "./dom.ts";
import { EventSocket } from "./event-socket.ts";
import { Focus } from "./focus.ts";
import { Freshness } from "./freshness.ts";
import { isFullScreen, leaveFullScreen, toggleFullScreen } from "./fullscreen.ts";
import { customerNews, lostInput } from "./news.ts";
import { Log, Panel } from "./panel.ts";
import { PictureView } from "./picture-view.ts";
import {
  type About, type FromConsole, type Phase, type Session, type Snapshot, supports, type ToConsole,
} from "./protocol.ts";
import { QuestionCard } from "./question-card.ts";
import { ScreenChoice } from "./screen-choice.ts";
import { askControlButton, duration, interruptionText, interruptionTitle, readinessNotice, stateText, waitNotice } from "./status-text.ts";
import { type CodeLabels, codeLabels, fillPage, language, plural, say, setTexts, t } from "./texts.ts";

setTexts(JSON.parse(byId("texts", HTMLElement).textContent ?? "{}"));
fillPage();

/** Days before the card expires from which a notice is shown. */
const CARD_NOTICE_DAYS = 14;
const DAY_MS = 86_400_000;
/** Height of the window, in CSS pixels, below which the picture needs the panel's place. */
const LOW_WINDOW = "(max-height: 500px)";
/** Failures that have nothing to do with the code: the same digits may be sent again. */
const CODE_STAYS = [
  "not-ready", "too-many", "service-error", "unreachable", "timeout", "relay-unreachable",
  "service-unreachable", "network-offline", "dns-silent", "dns-name-unknown", "connection-refused", "proxy-unreachable",
  "proxy-login", "proxy-refused", "proxy-unsupported", "certificate-untrusted", "login-page", "own-clock",
];

const elements = {
  state: byId("state", HTMLElement),
  caption: byId("caption", HTMLElement),
  clock: byId("clock", HTMLElement),
  tools: byId("tools", HTMLElement),
  askControl: byId("ask-control", HTMLButtonElement),
  ctrlAltDel: byId("ctrl-alt-del", HTMLButtonElement),
  fit: byId("fit", HTMLButtonElement),
  exact: byId("exact", HTMLButtonElement),
  fullScreen: byId("full-screen", HTMLButtonElement),
  togglePanel: byId("toggle-panel", HTMLButtonElement),
  end: byId("end", HTMLButtonElement),
  endDialog: byId("end-dialog", HTMLDialogElement),
  codeSection: byId("code-section", HTMLElement),
  outcome: byId("outcome", HTMLElement),
  wait: byId("wait", HTMLElement),
  askView: byId("ask-view", HTMLButtonElement),
  takePicture: byId("take-picture", HTMLButtonElement),
  picture: byId("picture", HTMLElement),
  interrupted: byId("interrupted", HTMLElement),
  interruptedTitle: byId("interrupted-title", HTMLElement),
  interruptedText: byId("interrupted-text", HTMLElement),
  panel: byId("panel", HTMLElement),
  about: byId("about", HTMLDialogElement),
};

let latest: Snapshot | null = null;

const eventSocket = new EventSocket(receive, (connected) => show(byId("offline", HTMLElement), !connected));
const send = (message: ToConsole): boolean => eventSocket.send(message);
const alerts = new Alerts();
const codeEntry = new CodeEntry((code, password) =>
  send(password === null ? { type: "connect", code } : { type: "connect", code, password }));
const picture = new PictureView(elements.picture, () => {
  if (latest !== null) {
    drawStage(latest);
    focus.keep(latest);
  }
});
const focus = new Focus(picture);
const screenChoice = new ScreenChoice((desktop, number) => picture.showScreen(desktop, number));
const panel = new Panel((backend) => send({ type: "ask-switch", backend }), () => send({ type: "ask-restart" }));
const clipboard = new Clipboard((text) => send({ type: "clipboard", text }));
const caseNote = new CaseNote();
const freshness = new Freshness();
const log = new Log(caseNote);
/** The open question: in the picture's place, and over the picture. */
const questions = {
  alone: new QuestionCard(byId("wait-question", HTMLElement)),
  over: new QuestionCard(byId("question", HTMLElement)),
};

function receive(message: FromConsole): void {
  switch (message.type) {
    case "snapshot": return draw(message);
    case "traffic":
      panel.showTraffic(message);
      return latest?.phase === "connected" ? freshness.onTraffic(message) : undefined;
    case "pointer": return picture.showPointer(message.x, message.y);
    case "clipboard": return clipboard.offer(message.text);
  }
}

function draw(snapshot: Snapshot): void {
  const previous = latest;
  latest = snapshot;
  const { phase, session } = snapshot;
  const live = phase === "connected";
  const linked = live || phase === "interrupted";
  document.body.dataset["phase"] = phase;
  drawAbout(snapshot.about);
  drawNotice(snapshot);
  drawBar(snapshot);
  caseNote.update(session === null ? "" : `${session.number} ${snapshot.log[0]?.at ?? 0}`);
  const news = log.update(snapshot.log);
  panel.update(session, live);
  const control = live && session?.permissions.control === true;
  clipboard.update(control && supports(session.customer, "clipboard"));
  picture.update(linked && session?.picture === true && session.permissions.view,
    control);
  screenChoice.update(linked ? session?.desktop ?? null : null, session?.number ?? 0);
  drawStage(snapshot);
  drawLabels(session);
  codeEntry.busy = phase === "looking-up" || phase === "connecting";
  if (previous === null || previous.phase !== phase || previous.session?.number !== session?.number) {
    onPhaseEntered(snapshot, previous?.phase === "connected" || previous?.phase === "interrupted", previous?.phase);
  }
  if (session?.asking != null && previous?.session?.asking == null) {
    // What the customer did before is older than the question.
    alerts.hide();
  }
  const told = previous === null ? null : customerNews(news, snapshot);
  if (told !== null) {
    alerts.report(told);
  }
  focus.keep(snapshot);
}

function onPhaseEntered(snapshot: Snapshot, wasConnected: boolean, before: Phase | undefined): void {
  switch (snapshot.phase) {
    case "connected":
      if (before === "interrupted") {
        return;
      }
      codeEntry.clear();
      showPanel(!window.matchMedia(LOW_WINDOW).matches);
      return;
    case "ended":
    case "failed":
      elements.endDialog.close();
      alerts.hide();
      showPanel(true);
      void leaveFullScreen();
      afterwards(snapshot.phase === "ended" || wasConnected ? "" : snapshot.outcome?.name ?? "");
      return;
    case "ready":
      codeEntry.focus();
      return;
    default:
      return;
  }
}

/** Prepares the form for the next try, after a failure with this name or a session. */
function afterwards(failure: string): void {
  if (failure === "wrong-code") {
    codeEntry.onRefused();
  } else if (CODE_STAYS.includes(failure)) {
    codeEntry.onMayRepeat();
  } else {
    codeEntry.onWorthless();
  }
}

function drawBar(snapshot: Snapshot): void {
  const { phase, session } = snapshot;
  const live = phase === "connected" && session !== null;
  const linked = live || phase === "interrupted";
  const permissions = session?.permissions;
  elements.state.dataset["state"] = phase === "ready" && readinessNotice(snapshot.readiness) !== null ? "failed" : phase;
  elements.state.dataset["permission"] = live && permissions?.control ? "control" : live && permissions?.view ? "view" : "none";
  const state = stateText(snapshot);
  setText(elements.state, state);
  const caption = session === null || phase === "ready" ? null : session.caption;
  alerts.title = [state, ...(caption === null ? [] : [caption]), "Etätuki"].join(" · ");
  show(elements.caption, caption !== null);
  setText(elements.caption, caption === null ? ""
    : session?.form === "ecom" ? t("bar.id", { digits: caption }) : t("bar.code", { digits: caption }));
  show(elements.clock, session?.connected_at != null);
  elements.clock.title = t("bar.time");
  show(elements.tools, linked);
  tick();
  if (!live) {
    freshness.reset();
  }
  if (!linked || session === null) {
    return;
  }
  const asked = askControlButton(session);
  const button = { ...asked, enabled: live && asked.enabled };
  setText(elements.askControl, button.label);
  elements.askControl.title = button.title;
  // Not `disabled`, which would take the focus away.
  elements.askControl.setAttribute("aria-disabled", String(!button.enabled));
  elements.askControl.dataset["given"] = String(session.permissions.control);
  elements.ctrlAltDel.disabled = !session.permissions.control;
}

function drawStage(snapshot: Snapshot): void {
  const notice = waitNotice(snapshot);
  const live = snapshot.phase === "connected";
  const interrupted = snapshot.phase === "interrupted";
  const viewing = (live || interrupted) && snapshot.session?.permissions.view === true;
  show(elements.codeSection, ["ready", "ended", "failed"].includes(snapshot.phase));
  drawOutcome(snapshot);
  show(elements.wait, notice !== null || (viewing && picture.state !== "shown"));
  show(elements.picture, viewing && picture.state !== "elsewhere");
  freshness.update(live && viewing && picture.state === "shown" ? snapshot.session : null);
  const elsewhere = notice === null && picture.state === "elsewhere";
  setText(byId("wait-title", HTMLElement),
    notice?.title ?? (elsewhere ? t("wait.elsewhere") : t("wait.fetching")));
  const text = byId("wait-text", HTMLElement);
  setText(text, notice?.text ?? "");
  show(text, text.textContent !== "");
  elements.wait.dataset["spinner"] = String(notice?.spinner ?? !elsewhere);
  show(elements.askView, notice?.mayAskView ?? false);
  show(elements.takePicture, elsewhere);
  questions.alone.update(live && !viewing ? snapshot.session : null);
  questions.over.update(viewing ? snapshot.session : null);
  show(elements.interrupted, interrupted);
  drawInterruption();
}

function drawOutcome(snapshot: Snapshot): void {
  const { outcome, phase, session } = snapshot;
  const shown = outcome !== null && (phase === "ended" || phase === "failed");
  show(elements.outcome, shown);
  if (!shown) {
    return;
  }
  elements.outcome.dataset["name"] = outcome.name;
  elements.outcome.dataset["tone"] = phase === "failed" ? "bad" : "quiet";
  const time = session?.connected_at != null && session.ended_at != null
    ? duration(session.ended_at - session.connected_at) : null;
  const [alone, after] = phase === "failed"
    ? ["outcome.not-connected", "outcome.broke-off"] : ["outcome.ended", "outcome.ended-after"];
  setText(byId("outcome-title", HTMLElement), time === null ? t(alone) : t(after, { time }));
  setText(byId("outcome-text", HTMLElement), say(outcome.text));
}

/** Shows how the customer's window labels a code: in the last customer's language, or in all. */
function drawLabels(session: Session | null): void {
  const theirs = session?.customer?.wording;
  const all = theirs === undefined ? codeLabels() : [theirs];
  const quoted = (labels: CodeLabels): string => `${labels.id} + ${labels.password} / ${labels.session_code}`;
  const line = byId("labels", HTMLElement);
  const differing = all.filter((labels) => labels.language !== language() || all.length === 1);
  setText(line, t("code.labels", { labels: differing.map((labels) => `${quoted(labels)} (${labels.language})`).join(" · ") }));
}

function drawAbout(about: About): void {
  const { name, organisation } = about.agent;
  setText(byId("agent", HTMLElement), `${name}, ${organisation}`);
  setText(byId("about-agent", HTMLElement), `${name}, ${organisation}`);
  setText(byId("about-version", HTMLElement), about.version);
  setText(byId("about-service", HTMLElement), about.service);
  setText(byId("about-reopen", HTMLElement), t("about.reopen", { address: `${window.location.origin}/` }));
  setText(byId("about-card", HTMLElement), cardExpiry(about).toLocaleDateString(language(), { dateStyle: "long" }));
}

function cardExpiry(about: About): Date {
  return new Date(about.card_expires * 1000);
}

/** Shows why no code can be tried, or that the card expires soon. */
function drawNotice(snapshot: Snapshot): void {
  const notice = byId("notice", HTMLElement);
  const days = Math.floor((cardExpiry(snapshot.about).getTime() - Date.now()) / DAY_MS);
  const text = readinessNotice(snapshot.readiness)
    ?? (days >= CARD_NOTICE_DAYS ? null : days < 0 ? t("banner.card-expired") : plural("banner.card-expires", days));
  show(notice, text !== null);
  setText(notice, text ?? "");
}

/** Draws what an interruption means, with the time that is left. */
function drawInterruption(): void {
  setText(elements.interruptedTitle, interruptionTitle(latest?.session ?? null));
  setText(elements.interruptedText, interruptionText(latest?.session ?? null, Date.now()) ?? "");
}

/** Redraws everything that counts seconds. */
function tick(): void {
  const session = latest?.session;
  if (session?.connected_at != null) {
    setText(elements.clock, duration((session.ended_at ?? Date.now()) - session.connected_at));
  }
  freshness.tick();
  questions.alone.tick();
  questions.over.tick();
  drawInterruption();
}

function setFit(fit: boolean): void {
  picture.fit = fit;
  elements.fit.setAttribute("aria-pressed", String(fit));
  elements.exact.setAttribute("aria-pressed", String(!fit));
}

function showPanel(shown: boolean): void {
  show(elements.panel, shown);
  elements.togglePanel.setAttribute("aria-expanded", String(shown));
}

/** Presses a button of the toolbar, unless the toolbar is hidden. */
function press(button: HTMLButtonElement): void {
  if (!elements.tools.hidden && !elements.endDialog.open) {
    button.click();
  }
}

/**
 * Shortcuts, held together with Ctrl, Alt and Shift: by the key's physical place, whatever the
 * layout.
 */
const SHORTCUTS: Record<string, () => void> = {
  KeyC: () => press(elements.askControl),
  KeyD: () => press(elements.ctrlAltDel),
  KeyE: () => press(elements.end),
  KeyF: () => press(elements.fullScreen),
  KeyP: () => press(elements.togglePanel),
  ...Object.fromEntries(Array.from({ length: 10 }, (_, number) =>
    [`Digit${number}`, () => screenChoice.choose(number)])),
  KeyT: () => {
    picture.blur();
    elements.askControl.focus();
  },
};

// In the capture phase: shortcuts work while the picture has the keyboard. Their modifiers were
// pressed at the customer's too and are let go first; a shortcut that is held acts once.
window.addEventListener("keydown", (event) => {
  const action = event.ctrlKey && event.altKey && event.shiftKey ? SHORTCUTS[event.code] : undefined;
  if (action !== undefined) {
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) {
      picture.releaseInput();
      action();
    }
  }
}, { capture: true });

/** Says that input goes nowhere, when the agent types or clicks in a picture that is only shown. */
function onPictureInput(event: KeyboardEvent | MouseEvent): void {
  const text = lostInput(event, latest);
  if (text !== null) {
    alerts.show(text);
  }
}

// Leaving the page leaves the session: the browser asks first.
window.addEventListener("beforeunload", (event) => {
  if (latest?.phase === "connected" || latest?.phase === "interrupted") {
    event.preventDefault();
    // Before version 119, Chromium asks only if this is a text that isn't empty.
    event.returnValue = "leave";
  }
});

elements.askControl.addEventListener("click", () => {
  if (elements.askControl.getAttribute("aria-disabled") !== "true") {
    send({ type: "ask-control" });
  }
});
elements.askView.addEventListener("click", () => send({ type: "ask-view" }));
elements.takePicture.addEventListener("click", () => picture.takeBack());
elements.end.addEventListener("click", () => elements.endDialog.showModal());
elements.endDialog.addEventListener("close", () => {
  if (elements.endDialog.returnValue === "yes") {
    send({ type: "end" });
  } else {
    focus.keep(latest);
  }
  elements.endDialog.returnValue = "";
});
elements.picture.addEventListener("keydown", onPictureInput);
elements.picture.addEventListener("mousedown", onPictureInput, { capture: true });
elements.ctrlAltDel.addEventListener("click", () => picture.sendCtrlAltDel());
elements.fit.addEventListener("click", () => setFit(true));
elements.exact.addEventListener("click", () => setFit(false));
elements.togglePanel.addEventListener("click", () => showPanel(elements.panel.hidden));
elements.fullScreen.addEventListener("click", () => void toggleFullScreen().then(() => picture.focus(), () => undefined));
document.addEventListener("fullscreenchange", () => {
  elements.fullScreen.setAttribute("aria-pressed", String(isFullScreen()));
  setText(elements.fullScreen, isFullScreen() ? t("bar.leave-full-screen") : t("bar.full-screen"));
});
byId("about-open", HTMLButtonElement).addEventListener("click", () => {
  elements.about.showModal();
  // The focus is on the button at its end.
  elements.about.scrollTop = 0;
});
elements.about.addEventListener("close", () => {
  if (!elements.codeSection.hidden) {
    codeEntry.focus();
  }
});
window.setInterval(tick, 250);
