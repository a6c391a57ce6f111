// The whole page: draws each snapshot that the console program sends, and sends each command of the
// agent.

import { byId, setText, show } from "./dom.ts";
import { Clipboard } from "./clipboard.ts";
import { CodeEntry } from "./code-entry.ts";
import { EventSocket } from "./event-socket.ts";
import { isFullScreen, leaveFullScreen, toggleFullScreen } from "./fullscreen.ts";
import { Log, Panel } from "./panel.ts";
import { PictureView } from "./picture-view.ts";
import { type About, type FromConsole, type Snapshot, supports, type ToConsole } from "./protocol.ts";
import { ScreenChoice } from "./screen-choice.ts";
import { askControlButton, duration, questionText, stateText, waitNotice } from "./status-text.ts";

/** Days before the card expires from which a notice is shown. */
const CARD_NOTICE_DAYS = 14;
const DAY_MS = 86_400_000;

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
  codeSection: byId("code-section", HTMLElement),
  outcome: byId("outcome", HTMLElement),
  wait: byId("wait", HTMLElement),
  askView: byId("ask-view", HTMLButtonElement),
  takePicture: byId("take-picture", HTMLButtonElement),
  picture: byId("picture", HTMLElement),
  question: byId("question", HTMLElement),
  panel: byId("panel", HTMLElement),
  about: byId("about", HTMLDialogElement),
};

let latest: Snapshot | null = null;

const eventSocket = new EventSocket(receive, (connected) => show(byId("offline", HTMLElement), !connected));
const send = (message: ToConsole): boolean => eventSocket.send(message);
const codeEntry = new CodeEntry((code, password) =>
  send(password === null ? { type: "connect", code } : { type: "connect", code, password }));
const picture = new PictureView(elements.picture, () => latest !== null && drawStage(latest));
const screenChoice = new ScreenChoice((desktop, number) => picture.showScreen(desktop, number));
const panel = new Panel((backend) => send({ type: "ask-switch", backend }));
const clipboard = new Clipboard((text) => send({ type: "clipboard", text }));
const log = new Log();

function receive(message: FromConsole): void {
  switch (message.type) {
    case "snapshot": return draw(message);
    case "traffic": return panel.showTraffic(message);
    case "pointer": return picture.showPointer(message.x, message.y);
    case "clipboard": return clipboard.offer(message.text);
  }
}

function draw(snapshot: Snapshot): void {
  const previous = latest;
  latest = snapshot;
  const { phase, session } = snapshot;
  const live = phase === "connected";
  document.body.dataset["phase"] = phase;
  drawAbout(snapshot.about);
  drawBar(snapshot);
  log.update(snapshot.log);
  panel.update(session, live);
  const control = live && session?.permissions.control === true;
  clipboard.update(control && supports(session.customer, "clipboard"));
  picture.update(live && session?.picture === true && session.permissions.view,
    control);
  screenChoice.update(live ? session?.desktop ?? null : null, session?.number ?? 0);
  drawStage(snapshot);
  codeEntry.busy = phase === "looking-up" || phase === "connecting";
  if (previous === null || previous.phase !== phase || previous.session?.number !== session?.number) {
    onPhaseEntered(snapshot);
  }
}

function onPhaseEntered(snapshot: Snapshot): void {
  switch (snapshot.phase) {
    case "connected":
      codeEntry.clear();
      return;
    case "ended":
      codeEntry.clear();
      void leaveFullScreen();
      codeEntry.focus();
      return;
    case "failed":
      void leaveFullScreen();
      if (snapshot.outcome?.name === "wrong-code") {
        codeEntry.onRefused();
      } else {
        codeEntry.focus();
      }
      return;
    case "ready":
      codeEntry.focus();
      return;
    default:
      return;
  }
}

function drawBar(snapshot: Snapshot): void {
  const { phase, session } = snapshot;
  const live = phase === "connected" && session !== null;
  const permissions = session?.permissions;
  elements.state.dataset["state"] = phase;
  elements.state.dataset["permission"] = live && permissions?.control ? "control" : live && permissions?.view ? "view" : "none";
  const state = stateText(snapshot);
  setText(elements.state, state);
  document.title = phase === "ready" ? "Etätuki console" : `${state} · Etätuki console`;
  show(elements.caption, session !== null && phase !== "ready");
  setText(elements.caption, session === null ? "" : `${session.form === "ecom" ? "ID" : "Code"} ${session.caption}`);
  show(elements.clock, session?.connected_at != null);
  show(elements.tools, live);
  tick();
  if (!live) {
    return;
  }
  const button = askControlButton(session);
  setText(elements.askControl, button.label);
  elements.askControl.title = button.title;
  elements.askControl.disabled = !button.enabled;
  elements.askControl.dataset["given"] = String(session.permissions.control);
  elements.ctrlAltDel.disabled = !session.permissions.control;
}

function drawStage(snapshot: Snapshot): void {
  const notice = waitNotice(snapshot);
  const viewing = snapshot.phase === "connected" && snapshot.session?.permissions.view === true;
  show(elements.codeSection, ["ready", "ended", "failed"].includes(snapshot.phase));
  drawOutcome(snapshot);
  show(elements.wait, notice !== null || (viewing && picture.state !== "shown"));
  show(elements.picture, viewing && picture.state !== "elsewhere");
  const elsewhere = notice === null && picture.state === "elsewhere";
  setText(byId("wait-title", HTMLElement),
    notice?.title ?? (elsewhere ? "The picture is shown in another tab" : "Fetching the picture…"));
  setText(byId("wait-text", HTMLElement), notice?.text ?? "");
  elements.wait.dataset["spinner"] = String(notice?.spinner ?? !elsewhere);
  show(elements.askView, notice?.mayAskView ?? false);
  show(elements.takePicture, elsewhere);
  const question = questionText(snapshot);
  show(elements.question, question !== null);
  setText(elements.question, question ?? "");
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
  const lasted = session?.connected_at != null && session.ended_at != null
    ? ` after ${duration(session.ended_at - session.connected_at)}` : "";
  setText(byId("outcome-title", HTMLElement), phase === "failed"
    ? (session?.connected_at != null ? `The session broke off${lasted}.` : "Not connected.")
    : `The session ended${lasted}.`);
  setText(byId("outcome-text", HTMLElement), outcome.text);
}

function drawAbout(about: About): void {
  const { name, organisation } = about.agent;
  setText(byId("agent", HTMLElement), `${name}, ${organisation}`);
  setText(byId("about-agent", HTMLElement), `${name}, ${organisation}`);
  setText(byId("about-version", HTMLElement), about.version);
  setText(byId("about-service", HTMLElement), about.service);
  const expires = new Date(about.card_expires * 1000);
  setText(byId("about-card", HTMLElement), expires.toLocaleDateString(undefined, { dateStyle: "long" }));
  const days = Math.floor((expires.getTime() - Date.now()) / DAY_MS);
  const notice = byId("card-notice", HTMLElement);
  show(notice, days < CARD_NOTICE_DAYS);
  setText(notice, days < 0
    ? "Your agent card has expired. Ask whoever issues the cards for a new one."
    : `Your agent card expires in ${days === 1 ? "1 day" : `${days} days`}. Ask for a new one in good time.`);
}

/** Redraws the session time. */
function tick(): void {
  const session = latest?.session;
  if (session?.connected_at != null) {
    setText(elements.clock, duration((session.ended_at ?? Date.now()) - session.connected_at));
  }
}

function setFit(fit: boolean): void {
  picture.fit = fit;
  elements.fit.setAttribute("aria-pressed", String(fit));
  elements.exact.setAttribute("aria-pressed", String(!fit));
}

function togglePanel(): void {
  const shown = elements.panel.hidden;
  show(elements.panel, shown);
  elements.togglePanel.setAttribute("aria-pressed", String(shown));
}

/** Presses a button of the toolbar, unless the toolbar is hidden. */
function press(button: HTMLButtonElement): void {
  if (!elements.tools.hidden) {
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
    [...elements.tools.querySelectorAll("button")].find((button) => !button.disabled)?.focus();
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

// Leaving the page leaves the session: the browser asks first.
window.addEventListener("beforeunload", (event) => {
  if (latest?.phase === "connected") {
    event.preventDefault();
    // Before version 119, Chromium asks only if this is a text that isn't empty.
    event.returnValue = "leave";
  }
});

elements.askControl.addEventListener("click", () => send({ type: "ask-control" }));
elements.askView.addEventListener("click", () => send({ type: "ask-view" }));
elements.takePicture.addEventListener("click", () => picture.takeBack());
elements.end.addEventListener("click", () => send({ type: "end" }));
elements.ctrlAltDel.addEventListener("click", () => picture.sendCtrlAltDel());
elements.fit.addEventListener("click", () => setFit(true));
elements.exact.addEventListener("click", () => setFit(false));
elements.togglePanel.addEventListener("click", togglePanel);
elements.fullScreen.addEventListener("click", () => void toggleFullScreen().then(() => picture.focus(), () => undefined));
document.addEventListener("fullscreenchange", () => {
  elements.fullScreen.setAttribute("aria-pressed", String(isFullScreen()));
  setText(elements.fullScreen, isFullScreen() ? "Leave full screen" : "Full screen");
});
byId("about-open", HTMLButtonElement).addEventListener("click", () => elements.about.showModal());
window.setInterval(tick, 250);
