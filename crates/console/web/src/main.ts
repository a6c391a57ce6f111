// The page as a whole: each snapshot from the console's program is drawn, each press is sent to it.

import { byId, setText, show } from "./dom.ts";
import { Clipboard } from "./clipboard.ts";
import { Entry } from "./entry.ts";
import { isFullScreen, leaveFullScreen, toggleFullScreen } from "./fullscreen.ts";
import { Log, Panel } from "./panel.ts";
import { Picture } from "./picture.ts";
import type { About, FromConsole, Snapshot, ToConsole } from "./protocol.ts";
import { Screens } from "./screens.ts";
import { Line } from "./socket.ts";
import { askControl, duration, question, stateWords, waiting } from "./words.ts";

const CARD_NOTICE_DAYS = 14;
const DAY_MS = 86_400_000;

const at = {
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
  desk: byId("desk", HTMLElement),
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

const line = new Line(receive, (up) => show(byId("offline", HTMLElement), !up));
const send = (message: ToConsole): boolean => line.send(message);
const entry = new Entry((code, password) =>
  send(password === null ? { type: "connect", code } : { type: "connect", code, password }));
const picture = new Picture(at.picture, () => latest !== null && drawStage(latest));
const screens = new Screens((desktop, number) => picture.showScreen(desktop, number));
const panel = new Panel((backend) => send({ type: "ask-switch", backend }));
const clipboard = new Clipboard((text) => send({ type: "clipboard", text }));
const log = new Log();

function receive(message: FromConsole): void {
  switch (message.type) {
    case "snapshot": return draw(message);
    case "traffic": return panel.traffic(message);
    case "pointer": return picture.point(message.x, message.y);
    case "clipboard": return clipboard.received(message.text);
  }
}

function draw(snapshot: Snapshot): void {
  const before = latest;
  latest = snapshot;
  const { phase, session } = snapshot;
  const live = phase === "connected";
  document.body.dataset["phase"] = phase;
  drawAbout(snapshot.about);
  drawBar(snapshot);
  log.update(snapshot.log);
  panel.update(session, live);
  clipboard.update(live && session?.permissions.control === true);
  picture.update(live && session?.picture === true && session.permissions.view,
    live && session?.permissions.control === true);
  screens.update(live ? session?.desktop ?? null : null, session?.number ?? 0);
  drawStage(snapshot);
  entry.busy = phase === "looking-up" || phase === "connecting";
  if (before === null || before.phase !== phase || before.session?.number !== session?.number) {
    phaseEntered(snapshot);
  }
}

function phaseEntered(snapshot: Snapshot): void {
  switch (snapshot.phase) {
    case "connected":
      entry.clear();
      return;
    case "ended":
      entry.clear();
      void leaveFullScreen();
      entry.focus();
      return;
    case "failed":
      void leaveFullScreen();
      if (snapshot.outcome?.name === "wrong-code") {
        entry.refused();
      } else {
        entry.focus();
      }
      return;
    case "ready":
      entry.focus();
      return;
    default:
      return;
  }
}

function drawBar(snapshot: Snapshot): void {
  const { phase, session } = snapshot;
  const live = phase === "connected" && session !== null;
  const given = session?.permissions;
  at.state.dataset["state"] = phase;
  at.state.dataset["permission"] = live && given?.control ? "control" : live && given?.view ? "view" : "none";
  const words = stateWords(snapshot);
  setText(at.state, words);
  document.title = phase === "ready" ? "Etätuki console" : `${words} · Etätuki console`;
  show(at.caption, session !== null && phase !== "ready");
  setText(at.caption, session === null ? "" : `${session.form === "ecom" ? "ID" : "Code"} ${session.caption}`);
  show(at.clock, session?.connected_at != null);
  show(at.tools, live);
  tick();
  if (!live) {
    return;
  }
  const ask = askControl(session);
  setText(at.askControl, ask.label);
  at.askControl.title = ask.title;
  at.askControl.disabled = !ask.enabled;
  at.askControl.dataset["given"] = String(session.permissions.control);
  at.ctrlAltDel.disabled = !session.permissions.control;
}

function drawStage(snapshot: Snapshot): void {
  const words = waiting(snapshot);
  const viewing = snapshot.phase === "connected" && snapshot.session?.permissions.view === true;
  show(at.desk, ["ready", "ended", "failed"].includes(snapshot.phase));
  drawOutcome(snapshot);
  show(at.wait, words !== null || (viewing && picture.state !== "shown"));
  show(at.picture, viewing && picture.state !== "elsewhere");
  const elsewhere = words === null && picture.state === "elsewhere";
  setText(byId("wait-title", HTMLElement),
    words?.title ?? (elsewhere ? "The picture is shown in another tab" : "Fetching the picture…"));
  setText(byId("wait-text", HTMLElement), words?.text ?? "");
  at.wait.dataset["spinner"] = String(words?.spinner ?? !elsewhere);
  show(at.askView, words?.mayAskView ?? false);
  show(at.takePicture, elsewhere);
  const asked = question(snapshot);
  show(at.question, asked !== null);
  setText(at.question, asked ?? "");
}

function drawOutcome(snapshot: Snapshot): void {
  const { outcome, phase, session } = snapshot;
  const shown = outcome !== null && (phase === "ended" || phase === "failed");
  show(at.outcome, shown);
  if (!shown) {
    return;
  }
  at.outcome.dataset["name"] = outcome.name;
  at.outcome.dataset["tone"] = phase === "failed" ? "bad" : "quiet";
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

function tick(): void {
  const session = latest?.session;
  if (session?.connected_at != null) {
    setText(at.clock, duration((session.ended_at ?? Date.now()) - session.connected_at));
  }
}

function setFit(fit: boolean): void {
  picture.fit = fit;
  at.fit.setAttribute("aria-pressed", String(fit));
  at.exact.setAttribute("aria-pressed", String(!fit));
}

function togglePanel(): void {
  const shown = at.panel.hidden;
  show(at.panel, shown);
  at.togglePanel.setAttribute("aria-pressed", String(shown));
}

/** Does what the button would, if the button could be pressed now. */
function press(button: HTMLButtonElement): void {
  if (!at.tools.hidden) {
    button.click();
  }
}

const KEYS: Record<string, () => void> = {
  KeyC: () => press(at.askControl),
  KeyD: () => press(at.ctrlAltDel),
  KeyE: () => press(at.end),
  KeyF: () => press(at.fullScreen),
  KeyP: () => press(at.togglePanel),
  ...Object.fromEntries(Array.from({ length: 10 }, (_, number) =>
    [`Digit${number}`, () => screens.choose(number)])),
  KeyT: () => {
    picture.blur();
    [...at.tools.querySelectorAll("button")].find((button) => !button.disabled)?.focus();
  },
};

// Captured, so that they work while the picture has the keyboard.
window.addEventListener("keydown", (event) => {
  const action = event.ctrlKey && event.altKey && event.shiftKey ? KEYS[event.code] : undefined;
  if (action !== undefined) {
    event.preventDefault();
    event.stopPropagation();
    action();
  }
}, { capture: true });

at.askControl.addEventListener("click", () => send({ type: "ask-control" }));
at.askView.addEventListener("click", () => send({ type: "ask-view" }));
at.takePicture.addEventListener("click", () => picture.takeBack());
at.end.addEventListener("click", () => send({ type: "end" }));
at.ctrlAltDel.addEventListener("click", () => picture.sendCtrlAltDel());
at.fit.addEventListener("click", () => setFit(true));
at.exact.addEventListener("click", () => setFit(false));
at.togglePanel.addEventListener("click", togglePanel);
at.fullScreen.addEventListener("click", () => void toggleFullScreen().then(() => picture.focus(), () => undefined));
document.addEventListener("fullscreenchange", () => {
  at.fullScreen.setAttribute("aria-pressed", String(isFullScreen()));
  setText(at.fullScreen, isFullScreen() ? "Leave full screen" : "Full screen");
});
byId("about-open", HTMLButtonElement).addEventListener("click", () => at.about.showModal());
window.setInterval(tick, 250);
