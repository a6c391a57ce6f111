// Builds dist/, which the console's executable embeds, or with --tests build-test/.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";

// Chromium and Firefox of Debian 12; noVNC itself needs top-level await.
const target = ["chrome109", "firefox102", "safari16"];

if (process.argv.includes("--tests")) {
  await tests();
} else {
  await page();
}

async function page() {
  await mkdir("dist", { recursive: true });
  await build({
    entryPoints: { console: "src/main.ts" },
    bundle: true,
    format: "esm",
    target,
    minify: true,
    legalComments: "inline",
    charset: "utf8",
    outdir: "dist",
    logLevel: "warning",
  });
  await build({
    entryPoints: { console: "src/style.css" },
    bundle: true,
    target,
    minify: true,
    charset: "utf8",
    outdir: "dist",
    logLevel: "warning",
  });
  await copyFile("src/icon.svg", "dist/icon.svg");
  await writeFile("dist/licences.txt", await licences());
  // Written last: its modification time tells build.rs that dist/ is complete.
  await copyFile("src/index.html", "dist/index.html");
}

// Returns the texts that the licences of the bundled packages require us to distribute.
async function licences() {
  const novnc = "node_modules/@novnc/novnc/";
  const { version } = JSON.parse(await readFile(`${novnc}package.json`, "utf8"));
  const parts = [
    `The viewer in this page is noVNC ${version}, unmodified, under the Mozilla Public License 2.0.\n` +
      `Its source: https://github.com/novnc/noVNC/tree/v${version}\n` +
      `or the package @novnc/novnc ${version} of the npm registry.\n`,
    await readFile(`${novnc}LICENSE.txt`, "utf8"),
    await readFile(`${novnc}AUTHORS`, "utf8"),
    "noVNC contains pako (https://github.com/nodeca/pako):\n\n" +
      (await readFile(`${novnc}vendor/pako/LICENSE`, "utf8")),
    await readFile(`${novnc}docs/LICENSE.MPL-2.0`, "utf8"),
  ];
  return parts.join(`\n${"-".repeat(72)}\n\n`);
}

async function tests() {
  await rm("build-test", { recursive: true, force: true });
  const names = (await readdir("test")).filter((name) => name.endsWith(".test.ts"));
  await build({
    entryPoints: names.map((name) => `test/${name}`),
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node18",
    outdir: "build-test",
    outExtension: { ".js": ".mjs" },
    logLevel: "warning",
  });
}
