// The customer's side of the demonstration: shows and drives the virtual display directly.
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
