// Opens every state of the page in a real Chromium, with snapshots in the console's place, and looks
// for what nobody could read, reach or press: axe-core's rules, elements outside of the window, edges
// without contrast, a focus that is nowhere. Prints the faults as a JSON list.
//
//   states.mjs ADDRESS SETTING [FOLDER]    one of SETTINGS; FOLDER gets a screenshot of each state
import { violations } from "./axe.mjs";
import { chromium } from "playwright-core";
import { join } from "node:path";
import { actions, states } from "./samples.mjs";
import { serveRfb } from "./rfb.mjs";

const TIMEOUT_MS = 30_000;
/**
 * Windows in which the page is used. 1366×640 is what a browser leaves of a laptop's 1366×768; 683×384
 * are those 1366×768 in full screen at 200 %.
 */
const SETTINGS = {
  narrow: { viewport: { width: 1000, height: 700 } },
  zoomed: { viewport: { width: 683, height: 384 } },
  laptop: { viewport: { width: 1366, height: 640 } },
  dark: { viewport: { width: 1366, height: 640 }, colorScheme: "dark" },
  forced: { viewport: { width: 1366, height: 640 }, forcedColors: "active" },
  large: { viewport: { width: 1920, height: 1080 } },
};

const [address, setting, folder] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  timeout: TIMEOUT_MS,
});
const context = await browser.newContext({ ...SETTINGS[setting], reducedMotion: "reduce" });
context.setDefaultTimeout(TIMEOUT_MS);
const page = await context.newPage();
const faults = [];
const report = (state, text) => faults.push(`${setting}, ${state}: ${text}`);
let current = "start";
page.on("pageerror", (error) => report(current, String(error)));
page.on("console", (message) => message.type() === "error" && report(current, message.text()));

let socket = null;
await page.routeWebSocket(/\/events$/, (route) => { socket = route; });
await page.addInitScript(serveRfb);
await page.goto(address);
await page.locator("#bar").waitFor();
await waitFor(() => socket !== null);
let number = 0;

for (const name of Object.keys(states)) {
  await look(name, states[name]).catch((error) => report(name, String(error)));
}
for (const [name, action] of Object.entries(actions)) {
  await look(name, states[action.state], action).catch((error) => report(name, String(error)));
}
// The address was redeemed by another browser.
current = "used-address";
const other = await browser.newContext(SETTINGS[setting]);
const denied = await other.newPage();
await denied.goto(address);
await check(denied, "used-address");

process.stdout.write(`${JSON.stringify(faults)}\n`);
await browser.close();

/** Brings the page into a state, from its beginning. */
async function look(name, snapshots, action = {}) {
  current = name;
  number += 1;
  await page.evaluate(async () => {
    document.querySelector("dialog[open]")?.close();
    await (document.fullscreenElement === null ? null : document.exitFullscreen());
  });
  socket.send(JSON.stringify(states.ready[0]));
  await page.locator('body[data-phase="ready"]').waitFor();
  await page.getByTestId("code").fill("");
  for (const snapshot of snapshots) {
    if (snapshot.session !== null) {
      snapshot.session.number = number;
    }
    socket.send(JSON.stringify(snapshot));
    await page.locator(`body[data-phase="${snapshot.phase}"]`).waitFor();
    if (snapshot.session?.picture === true) {
      socket.send(JSON.stringify({ type: "traffic", sent: 12_345, received: 4_567_890, path: "relayed", round_trip_ms: 48, heard: true }));
      await page.locator("#picture canvas").waitFor({ state: "visible" });
      await page.locator("#wait").waitFor({ state: "hidden" });
    }
  }
  for (const [field, text] of Object.entries(action.type ?? {})) {
    await page.getByTestId(field).fill(text);
  }
  if (action.press !== undefined) {
    await page.getByTestId(action.press).click();
  }
  if (action.focus !== undefined) {
    await page.waitForFunction(() => document.fullscreenElement !== null);
    await page.getByTestId(action.focus).focus();
  }
  await check(page, name);
  const focus = await page.evaluate(() => document.activeElement?.tagName ?? "none");
  const live = snapshots.at(-1).phase;
  if (focus === "BODY" && ["ready", "ended", "failed", "connected", "interrupted"].includes(live)) {
    report(name, "the focus is nowhere");
  }
}

async function check(target, name) {
  if (folder !== undefined) {
    await target.screenshot({ path: join(folder, `${setting}-${name}.png`) });
  }
  for (const fault of await target.evaluate(lookAround)) {
    report(name, fault);
  }
  for (const { id, nodes } of await violations(target)) {
    report(name, `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
  }
}

/** Runs in the page. Returns what is cut off, and whose edge can't be seen. */
function lookAround() {
  const faults = [];
  const forced = matchMedia("(forced-colors: active)").matches;
  const [width, height] = [innerWidth, innerHeight];
  if (document.documentElement.scrollWidth > width) {
    faults.push(`the page is ${document.documentElement.scrollWidth} wide`);
  }
  const dialog = document.querySelector("dialog[open]");
  for (const target of (dialog ?? document).querySelectorAll("button, input, textarea, .state, #clock")) {
    const box = target.getBoundingClientRect();
    if (box.width === 0) {
      continue;
    }
    const scrolls = scrollsAsOne() || target.closest("#panel, #about, #code-section, #wait, .question") !== null;
    if (box.left < 0 || box.right > width || (!scrolls && (box.top < 0 || box.bottom > height))) {
      faults.push(`#${target.id} is outside of the window`);
    }
    if (target.scrollWidth > target.clientWidth + 1 && target.tagName === "BUTTON") {
      faults.push(`#${target.id} cuts its text`);
    }
    const style = getComputedStyle(target);
    const plain = target.matches("button:not(.quiet, .primary, :disabled, [aria-disabled=true]), input, textarea");
    if (!forced && plain && target.type !== "checkbox" && contrast(style.borderTopColor, behind(target)) < 3) {
      faults.push(`#${target.id} has an edge of ${contrast(style.borderTopColor, behind(target)).toFixed(2)}:1`);
    }
  }
  const picture = document.querySelector("#picture:not([hidden])")?.getBoundingClientRect();
  if (picture !== undefined && !dialog && (picture.height < 0.4 * height || picture.width < 0.5 * width)) {
    faults.push(`the picture has ${picture.width} × ${picture.height} of ${width} × ${height}`);
  }
  const field = document.querySelector("#code");
  if (isShown(field) && !dialog && !isSeen(field)) {
    faults.push("the field for the code is covered");
  }
  const card = document.querySelector("#question");
  const countdown = card?.querySelector(".countdown");
  if (isShown(countdown) && !dialog && card.scrollHeight <= card.clientHeight && !isSeen(countdown)) {
    faults.push("the question is covered");
  }
  const log = document.querySelector("#log");
  if (isShown(log) && seenHeight(log) < Math.min(150, 0.2 * height, log.scrollHeight) && !scrollsAsOne()) {
    faults.push(`the log has ${seenHeight(log)} pixels of ${height}`);
  }
  return faults;

  function isShown(target) {
    return (target?.getClientRects().length ?? 0) > 0;
  }
  /** Whether nothing covers an element, nor cuts it off. */
  function isSeen(target) {
    const box = target.getBoundingClientRect();
    const corners = [[box.left + 3, box.top + 3], [box.right - 3, box.bottom - 3]];
    return corners.every(([x, y]) => document.elementFromPoint(x, y) === target);
  }
  /** Whether form and log are one long page. */
  function scrollsAsOne() {
    return document.documentElement.scrollHeight > innerHeight;
  }
  /** Height of an element that its panel doesn't cut off. */
  function seenHeight(target) {
    const [inner, outer] = [target, target.closest("#panel")].map((one) => one.getBoundingClientRect());
    return Math.min(inner.bottom, outer.bottom, innerHeight) - Math.max(inner.top, outer.top);
  }
  function behind(target) {
    for (let at = target.parentElement; at !== null; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!colour.startsWith("rgba")) {
        return colour;
      }
    }
    return "rgb(255, 255, 255)";
  }
  /** WCAG 2.1, contrast ratio. */
  function contrast(one, other) {
    const luminance = (colour) => {
      const parts = colour.match(/[\d.]+/g).slice(0, 3).map((part) => part / 255);
      const [r, g, b] = parts.map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  }
}

async function waitFor(condition) {
  const end = Date.now() + TIMEOUT_MS;
  while (!condition()) {
    if (Date.now() > end) {
      throw new Error("the page opened no socket");
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
