// The customer's own hands and eyes in the demonstration: the virtual display, seen and driven directly.
import RFB from "@novnc/novnc";

const pane = document.getElementById("customer") as HTMLElement;

function show(): void {
  const rfb = new RFB(pane, `ws://${location.host}/customer`);
  rfb.scaleViewport = true;
  rfb.focusOnClick = true;
  rfb.background = "transparent";
  rfb.addEventListener("disconnect", () => setTimeout(show, 1000));
}

show();
