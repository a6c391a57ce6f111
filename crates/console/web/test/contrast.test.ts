// The contrast of the page's styles, as WCAG 2.2 wants it: 4.5 for text (1.4.3), 3 for the edges of
// what can be pressed or typed into (1.4.11). What can't be pressed at the moment is exempt.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const TEXT = 4.5;
const EDGE = 3;

interface Rule {
  selector: string;
  values: Map<string, string>;
}

const rules = parse(readFileSync("src/style.css", "utf8"));
/** The colours by their names: of the light page, then those that the dark page has instead. */
const palettes = rules.filter((rule) => rule.selector === ":root").map((rule) => rule.values);
const light = new Map(palettes[0]);
const dark = new Map([...light, ...(palettes[1] ?? [])]);

function parse(css: string): Rule[] {
  const plain = css.replace(/\/\*[^]*?\*\//g, "");
  return [...plain.matchAll(/([^{};]+)\{([^{}]*)\}/g)].map(([, selector = "", body = ""]) => ({
    selector: selector.trim(),
    values: new Map(
      body.split(";").flatMap((declaration): [string, string][] => {
        const colon = declaration.indexOf(":");
        return colon < 0 ? [] : [[declaration.slice(0, colon).trim(), declaration.slice(colon + 1).trim()]];
      }),
    ),
  }));
}

/** Returns the first colour in a value, as red, green and blue; nothing if it names none. */
function colour(value: string | undefined, names: Map<string, string>): number[] | undefined {
  const resolved = (value ?? "").replace(/var\((--[a-z-]+)\)/g, (_, name: string) => names.get(name) ?? "");
  const hex = /#([0-9a-f]{6}|[0-9a-f]{3})\b/i.exec(resolved)?.[1];
  if (hex === undefined) return undefined;
  const digits = hex.length === 3 ? [...hex].map((digit) => digit + digit).join("") : hex;
  return [0, 2, 4].map((at) => parseInt(digits.slice(at, at + 2), 16));
}

function luminance(rgb: number[]): number {
  const [r = 0, g = 0, b = 0] = rgb.map((channel) => {
    const part = channel / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one: number[], other: number[]): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

const surfaces = (names: Map<string, string>): number[][] =>
  ["var(--paper)", "var(--ground)"].map((name) => colour(name, names) ?? []);
const active = rules.filter((rule) => !/:disabled(?!\))/.test(rule.selector));

for (const [scheme, names] of [["light", light], ["dark", dark]] as const) test(`${scheme} text has a contrast of 4.5`, () => {
  const faults = active.flatMap(({ selector, values }) => {
    const ink = colour(values.get("color"), names);
    if (ink === undefined) return [];
    const own = colour(values.get("background") ?? values.get("background-color"), names);
    const on = own ? [own] : surfaces(names);
    const least = Math.min(...on.map((ground) => contrast(ink, ground)));
    return least < TEXT ? [`${selector}: ${least.toFixed(2)}`] : [];
  });
  assert.deepEqual(faults, []);
});

for (const [scheme, names] of [["light", light], ["dark", dark]] as const) test(`${scheme} edges of buttons and fields have a contrast of 3`, () => {
  const controls = /(^|[\s,])(button|\.field input|select|textarea)/;
  const faults = active.flatMap(({ selector, values }) => {
    const edge = colour(values.get("border-color") ?? values.get("border"), names);
    if (edge === undefined || !controls.test(selector)) return [];
    // A face that stands out by itself needs no edge.
    const face = colour(values.get("background"), names);
    const least = Math.min(
      ...surfaces(names).map((ground) => Math.max(contrast(edge, ground), face ? contrast(face, ground) : 0)),
    );
    return least < EDGE ? [`${selector}: ${least.toFixed(2)}`] : [];
  });
  assert.deepEqual(faults, []);
});

test("the checks can fail", () => {
  assert.ok(contrast([255, 255, 255], [0x35, 0x84, 0xe4]) < TEXT);
  assert.ok(contrast([255, 255, 255], [0xcd, 0xc7, 0xc2]) < EDGE);
  assert.equal(contrast([0, 0, 0], [255, 255, 255]).toFixed(0), "21");
});
