// Full screen. Where the browser has the Keyboard Lock API, its own keys (Esc, Alt-Tab) go to the
// customer.

interface LockableKeyboard {
  lock?: (codes?: string[]) => Promise<void>;
  unlock?: () => void;
}

export function isFullScreen(): boolean {
  return document.fullscreenElement !== null;
}

export async function toggleFullScreen(): Promise<void> {
  if (isFullScreen()) {
    await document.exitFullscreen();
    return;
  }
  await document.documentElement.requestFullscreen({ navigationUI: "hide" });
  await keyboard()?.lock?.().catch(() => undefined);
}

export async function leaveFullScreen(): Promise<void> {
  keyboard()?.unlock?.();
  if (isFullScreen()) {
    await document.exitFullscreen();
  }
}

function keyboard(): LockableKeyboard | undefined {
  return (navigator as Navigator & { keyboard?: LockableKeyboard }).keyboard;
}
