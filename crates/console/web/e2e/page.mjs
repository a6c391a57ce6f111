// The console's page in a real Chromium, driven by lines of JSON on stdin: {"do": ...}, one answer each on stdout:
// {"ok": ...} or {"error": "..."}. tests/e2e/page.rs says what to do and judges what comes back.
import { chromium } from "playwright-core";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const LIMIT_MS = 30_000;
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
  timeout: LIMIT_MS,
});
browser.setDefaultTimeout(LIMIT_MS);
const page = browser.pages()[0] ?? await browser.newPage();
/** What the page complained about; a page that works says nothing. */
const complaints = [];
page.on("pageerror", (error) => complaints.push(String(error)));
page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));

const part = (name) => page.getByTestId(name);

const actions = {
  open: ({ page: address }) => page.goto(address).then(() => null),
  type: ({ into, text }) => part(into).pressSequentially(text),
  press: ({ button }) => part(button).click(),
  key: ({ key }) => page.keyboard.press(key),
  down: ({ key }) => page.keyboard.down(key),
  up: ({ key }) => page.keyboard.up(key),
  // The mouse, to a place in what is shown of the picture: 0 to 1 from its left and top.
  aim: async ({ x, y }) => {
    const shown = await page.locator("#picture .window").boundingBox();
    await page.mouse.move(shown.x + x * shown.width, shown.y + y * shown.height);
  },
  // Where the customer's pointer is shown, in pixels of the desktop.
  pointer: () => page.evaluate(readPointer),
  // Waits until the text is there, and gives all of it.
  says: async ({ part: name, text }) => {
    await part(name).filter({ hasText: text }).waitFor();
    return part(name).innerText();
  },
  // Waits for an attribute's value.
  has: ({ part: name, attribute, value }) =>
    page.locator(`[data-testid="${name}"][${attribute}="${value}"]`).waitFor({ state: "attached" }),
  value: ({ of }) => part(of).inputValue(),
  enabled: ({ button }) => part(button).isEnabled(),
  // The picture's canvas, RGBA, written to a file; its size is the answer.
  pixels: async ({ into }) => {
    const read = await page.evaluate(readCanvas);
    if (read === null) {
      return null;
    }
    await writeFile(into, Buffer.from(read.pixels, "base64"));
    return { width: read.width, height: read.height };
  },
  screenshot: ({ into }) => page.screenshot({ path: into }).then(() => null),
  complaints: () => complaints,
};

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

const answer = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
answer({ ok: "ready" });
for await (const line of createInterface({ input: process.stdin })) {
  try {
    const order = JSON.parse(line);
    answer({ ok: (await actions[order.do](order)) ?? null });
  } catch (error) {
    answer({ error: String(error) });
  }
}
await browser.close();
await rm(profile, { recursive: true, force: true });
