// Drives the console's page in a real Chromium: one JSON command a line on stdin, {"do": ...}, and
// one result a line on stdout, {"ok": ...} or {"error": "..."}. tests/e2e/page.rs sends the
// commands and checks the results.
import { chromium } from "playwright-core";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const TIMEOUT_MS = 30_000;
const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

const profile = await mkdtemp(join(tmpdir(), "etatuki-page-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ARGUMENTS,
  headless: true,
  viewport: { width: 1366, height: 850 },
  timeout: TIMEOUT_MS,
});
browser.setDefaultTimeout(TIMEOUT_MS);
const page = browser.pages()[0] ?? await browser.newPage();
/** The page's errors: uncaught exceptions and console.error. A page that works has none. */
const complaints = [];
page.on("pageerror", (error) => complaints.push(String(error)));
page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));

// The browser's own questions are answered with no.
page.on("dialog", (dialog) => dialog.dismiss());

// Playwright lets every page believe that it has the focus, until it is told not to.
const devtools = await browser.newCDPSession(page);
/** What the page played and notified of: tones, and texts of notifications. */
const alerts = { tones: 0, notifications: [] };
await devtools.send("WebAudio.enable");
devtools.on("WebAudio.audioNodeCreated", ({ node }) => { alerts.tones += Number(node.nodeType === "Oscillator"); });
await page.exposeFunction("onNotification", (text) => alerts.notifications.push(text));
await page.addInitScript(observeNotifications);
await browser.grantPermissions(["notifications", "clipboard-read", "clipboard-write"]);
/** The tab in front of the page, or null. */
let front = null;

/** The console's page, which may be in a frame of the demonstration's. */
const frame = () => page.frames().at(-1);
const part = (name) => frame().getByTestId(name);

const actions = {
  open: ({ page: address }) => page.goto(address).then(() => null),
  type: ({ into, text }) => part(into).pressSequentially(text),
  press: ({ button }) => part(button).click(),
  key: ({ key }) => page.keyboard.press(key),
  down: ({ key }) => page.keyboard.down(key),
  up: ({ key }) => page.keyboard.up(key),
  // Pastes a text into a part.
  paste: async ({ into, text }) => {
    await part(into).focus();
    await frame().evaluate(pasteText, text);
  },
  // Empties the form for the code.
  clear: async () => {
    await part("password").fill("");
    await part("code").fill("");
  },
  // Returns the test id of the element with the focus, or its tag.
  focus: () => frame().evaluate(() => document.activeElement.dataset.testid ?? document.activeElement.tagName),
  title: () => page.title(),
  // Brings another tab to the front, and the page again.
  "look-away": async () => {
    await devtools.send("Emulation.setFocusEmulationEnabled", { enabled: false });
    front = await browser.newPage();
    await front.bringToFront();
  },
  "look-back": async () => {
    await page.bringToFront();
    await front.close();
  },
  alerts: () => alerts,
  // Returns the text in the browser's clipboard.
  clipboard: () => page.evaluate(() => navigator.clipboard.readText()),
  "full-screen": () => page.evaluate(() => document.fullscreenElement !== null),
  // Turns the wheel where the mouse is, by pixels.
  wheel: ({ x, y }) => page.mouse.wheel(x, y),
  // Opens the page in another tab, which takes the picture, and closes that tab.
  "another-tab": async () => {
    const other = await browser.newPage();
    await other.goto(page.url());
    await other.locator("#picture canvas").waitFor();
    await part("take-picture").waitFor();
    await other.close();
  },
  // Gives the keyboard to the picture, without a click.
  "focus-picture": () => page.locator("#picture canvas").focus(),
  // Presses and releases the left mouse button where the mouse is.
  "mouse-down": () => page.mouse.down(),
  "mouse-up": () => page.mouse.up(),
  // Closes the tab as its cross does. Returns the browser's question, which is answered with no.
  "close-tab": async () => {
    const asked = page.waitForEvent("dialog");
    await page.close({ runBeforeUnload: true });
    return (await asked).type();
  },
  // Moves the mouse to a position in the shown part of the picture: 0 to 1 from its left and top.
  aim: async ({ x, y }) => {
    const shown = await page.locator("#picture .viewport").boundingBox();
    await page.mouse.move(shown.x + x * shown.width, shown.y + y * shown.height);
  },
  // Returns where the customer's pointer is shown, in pixels of the desktop.
  pointer: () => page.evaluate(readPointer),
  // Waits until a part contains the text, and returns the part's whole text.
  says: async ({ part: name, text }) => {
    await part(name).filter({ hasText: text }).waitFor();
    return part(name).innerText();
  },
  // Waits until an attribute has the value.
  has: ({ part: name, attribute, value }) =>
    frame().locator(`[data-testid="${name}"][${attribute}="${value}"]`).waitFor({ state: "attached" }),
  value: ({ of }) => part(of).inputValue(),
  enabled: ({ button }) => part(button).isEnabled(),
  // Writes the picture's canvas to a file as RGBA, and returns its size.
  pixels: async ({ into }) => {
    const read = await page.evaluate(readCanvas);
    if (read === null) {
      return null;
    }
    await writeFile(into, Buffer.from(read.pixels, "base64"));
    return { width: read.width, height: read.height };
  },
  size: ({ width, height }) => page.setViewportSize({ width, height }),
  screenshot: ({ into }) => page.screenshot({ path: into }).then(() => null),
  complaints: () => complaints,
};

/** Runs in the page, before its scripts. */
function observeNotifications() {
  window.Notification = class extends Notification {
    constructor(title, options) {
      super(title, options);
      window.onNotification(options.body);
    }
  };
}

/** Runs in the page. */
function pasteText(text) {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text", text);
  document.activeElement.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}

/** Runs in the page. */
function readPointer() {
  const canvas = document.querySelector("#picture canvas");
  const pointer = document.querySelector(".customer-pointer");
  if (canvas === null || pointer.hidden) {
    return null;
  }
  const [whole, at] = [canvas.getBoundingClientRect(), pointer.getBoundingClientRect()];
  const scale = canvas.width / whole.width;
  return { x: Math.floor((at.left - whole.left) * scale), y: Math.floor((at.top - whole.top) * scale) };
}

/** Runs in the page. */
function readCanvas() {
  const canvas = document.querySelector("#picture canvas");
  if (canvas === null || canvas.width === 0 || canvas.height === 0) {
    return null;
  }
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const parts = [];
  for (let at = 0; at < data.length; at += 0x8000) {
    parts.push(String.fromCharCode(...data.subarray(at, at + 0x8000)));
  }
  return { width: canvas.width, height: canvas.height, pixels: btoa(parts.join("")) };
}

const respond = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
respond({ ok: "ready" });
for await (const line of createInterface({ input: process.stdin })) {
  try {
    const command = JSON.parse(line);
    respond({ ok: (await actions[command.do](command)) ?? null });
  } catch (error) {
    respond({ error: String(error) });
  }
}
await browser.close();
await rm(profile, { recursive: true, force: true });
