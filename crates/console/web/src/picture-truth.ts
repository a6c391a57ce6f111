// Is the picture true, and if it isn't, or stands still: why, and whose move is it? Pure functions of
// what the customer's end said, and of the time since it was last heard.

import type { ScreenCondition, Session } from "./protocol.ts";
import { t } from "./texts.ts";

/** Silence of the customer's end from which nothing vouches for the picture. It is heard every 0.8 s. */
export const SILENT_MS = 2000;

/** Sentences by the condition's stable name: what is so, and whose move it is. */
const NOTICES: Readonly<Record<Exclude<ScreenCondition, "visible">, string>> = {
  "tool-hung": "screen.tool-hung",
  "plugin-hung": "screen.plugin-hung",
  "line-slow": "screen.line-slow",
  "other-session": "screen.other-session",
  locked: "screen.locked",
  blanked: "screen.blanked",
  "program-hung": "screen.program-hung",
};

export interface PictureTruth {
  /** The sentence above the picture; null while there is nothing to say. */
  notice: string | null;
  /** Seconds since the picture was last known to be true; null while it is. */
  age: number | null;
}

/** Returns the truth about a picture that is shown. Times are Unix times in milliseconds. */
export function pictureTruth(session: Session, heardAt: number | null, now: number): PictureTruth {
  if (heardAt !== null && now - heardAt >= SILENT_MS) {
    const trueAt = Math.min(heardAt, session.screen.true_at ?? heardAt);
    return { notice: t("screen.silent"), age: wholeSeconds(now - trueAt) };
  }
  const { condition, true_at: trueAt } = session.screen;
  return {
    notice: condition === "visible" ? null : t(NOTICES[condition]),
    age: trueAt === null ? null : wholeSeconds(now - trueAt),
  };
}

function wholeSeconds(milliseconds: number): number {
  return Math.max(1, Math.round(milliseconds / 1000));
}
