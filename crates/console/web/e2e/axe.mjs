// Runs axe-core's rules on a page, outside of the page's own Content-Security-Policy.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const source = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Returns the rules that the page breaks, with the elements. */
export async function violations(page) {
  // Evaluated, not injected as a script: the policy forbids those.
  await page.evaluate(source);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations;
}
