// Snapshots of every state of the page, as the console program sends them (src/protocol.ts).

const now = Date.now();
const about = {
  version: "0.1.0",
  service: "https://support.example.com",
  agent: { name: "Maija-Liisa Virtanen-Lehtonen", organisation: "Ecomin asiakastuki, Tampere" },
  card_expires: now / 1000 + 200 * 86_400,
};

const wordings = {
  fi: { language: "fi", id: "Tunnus (ID)", password: "Kertasalasana", session_code: "Istuntokoodi" },
  sv: { language: "sv", id: "ID", password: "Engångslösenord", session_code: "Sessionskod" },
};

const customer = {
  backend: "ecom",
  label: "Ecom Etätuki",
  tool: null,
  tool_version: null,
  plugin_version: "0.1.0",
  system: "Debian GNU/Linux 12 (bookworm), x86_64",
  app_version: "2008.4",
  usable: [
    { id: "ecom", label: "Ecom Etätuki", usable: true, reason: null },
    { id: "remoteus-2008", label: "Remoteus etätuki (2008)", usable: true, reason: null },
    { id: "remoteus-2010", label: "Remoteus etätuki (2010)", usable: false, reason: "tool-missing" },
  ],
  launcher_version: "0.1.0",
  wording: wordings.fi,
};

const names = "Maija-Liisa Virtanen-Lehtonen (Ecomin asiakastuki, Tampere)";
const view = {
  question: `Saako ${names} katsoa näyttöäsi?`,
  explanation: "Voit näyttää koko näytön tai vain ohjelman GnuCash. Kaikki muu näkyy silloin harmaana.",
  buttons: [
    { label: "Vain GnuCash", answer: "allow-program" },
    { label: "Koko näyttö", answer: "allow" },
    { label: "Älä salli", answer: "deny" },
  ],
};
const control = {
  question: "Får Maija-Liisa Virtanen-Lehtonen använda din mus och ditt tangentbord?",
  explanation: "Du kan när som helst ta tillbaka styrningen: håll ned Esc-tangenten i en sekund.",
  buttons: [{ label: "Tillåt styrning", answer: "allow" }, { label: "Tillåt inte", answer: "deny" }],
};

const restart = {
  question: "Saako Maija-Liisa Virtanen-Lehtonen palata itsestään, kun koneesi on käynnistetty uudelleen?",
  explanation: "Jos kone käynnistetään uudelleen 15 minuutin kuluessa, yhteys palaa kerran ilman uutta koodia. Voit perua tämän milloin vain.",
  buttons: [{ label: "Salli paluu", answer: "allow" }, { label: "Älä salli", answer: "deny" }],
};

const entry = (kind, key, values) => ({ at: now - 60_000, kind, text: { key, ...(values ? { values } : {}) } });
const log = [
  entry("info", "log.id-typed", { digits: "184 153 489" }),
  entry("info", "log.connected"),
  entry("info", "log.customer-program", { parts: "Ecom Etätuki, Debian GNU/Linux 12 (bookworm), x86_64", version: "2008.4" }),
  entry("asked", "log.view-asked"),
];

const session = (more = {}) => ({
  number: 1,
  form: "ecom",
  caption: "184 153 489",
  customer,
  permissions: { view: false, control: false },
  asking: null,
  screen: { condition: "visible", true_at: null },
  asks_left: { view: 3, control: 3, restart: 3 },
  picture: false,
  desktop: null,
  connected_at: now - 754_000,
  interrupted_until: null,
  restart_until: null,
  ended_at: null,
  ...more,
});

const snapshot = (more) => ({
  type: "snapshot", about, readiness: { state: "ready" }, phase: "ready", session: null, outcome: null, log: [], ...more,
});
const connected = (more, entries = []) => snapshot({ phase: "connected", session: session(more), log: [...log, ...entries] });
const seen = (more, entries) => connected({
  permissions: { view: true, control: false }, picture: true,
  desktop: { width: 640, height: 400, screens: [{ x: 0, y: 0, width: 640, height: 400 }] }, ...more,
}, entries);
const interrupted = (snapshot) => ({
  ...snapshot, phase: "interrupted", session: { ...snapshot.session, interrupted_until: Date.now() + 107_000 },
});
const asking = (kind, shown, backend = null) => ({ kind, backend, shown, until: shown === null ? null : Date.now() + 47_000 });
const over = (phase, name, key, values = {}, more = {}) => snapshot({
  phase, log: [...log, entry(phase === "failed" ? "trouble" : "info", key, values)],
  session: session({ ended_at: now, ...more }), outcome: { name, text: { key, values } },
});
const still = (condition, more = {}) => seen({ screen: { condition, true_at: null }, ...more });
const stale = (condition) => seen({ screen: { condition, true_at: Date.now() - 4000 }, permissions: { view: true, control: true } });
const screens = [{ x: 0, y: 0, width: 320, height: 400 }, { x: 320, y: 0, width: 320, height: 400 }];

/** By name: the snapshots that lead to a state, in order. */
export const states = {
  "checking": [snapshot({ readiness: { state: "checking" } })],
  "ready": [snapshot({})],
  "no-service": [snapshot({ readiness: { state: "no-service", name: "service-unreachable" } })],
  "card-refused": [snapshot({ readiness: { state: "card-refused", name: "card-revoked" } })],
  "card-expires": [snapshot({ about: { ...about, card_expires: now / 1000 + 3.5 * 86_400 } })],
  "looking-up": [snapshot({ phase: "looking-up", session: session({ customer: null, connected_at: null }), log: log.slice(0, 1) })],
  "connecting": [snapshot({ phase: "connecting", session: session({ customer: null, connected_at: null }), log: log.slice(0, 1) })],
  "asking-view": [connected({ asking: asking("view", view) })],
  "asking-unquoted": [connected({ asking: asking("view", null) })],
  "asking-embedded": [connected({ asking: asking("view", null), customer: { ...customer, wording: undefined } })],
  "denied": [connected({ asking: asking("view", view) }), connected({ asks_left: { view: 2, control: 3, restart: 3 } }, [entry("refused", "log.view-refused")])],
  "denied-for-good": [connected({ asks_left: { view: 0, control: 3, restart: 3 } }, [entry("refused", "log.view-refused")])],
  "viewing": [connected({}), seen({}, [entry("given", "log.view-given")])],
  "asking-control": [seen({ asking: asking("control", control), customer: { ...customer, wording: wordings.sv } })],
  "asking-switch": [seen({ asking: asking("switch", view, "remoteus-2008") })],
  "control": [seen({ permissions: { view: true, control: true } }, [entry("given", "log.control-given")])],
  "control-denied": [seen({ asking: asking("control", control) }), seen({ asks_left: { view: 3, control: 2, restart: 3 } }, [entry("refused", "log.control-refused")])],
  "control-refused": [seen({ asks_left: { view: 3, control: 0, restart: 0 } })],
  "control-back": [seen({ permissions: { view: true, control: true } }), seen({}, [entry("refused", "log.control-withdrawn")])],
  "view-only": [seen({ customer: { ...customer, unsupported: ["control", "clipboard"] } })],
  "one-program": [seen({ permissions: { view: true, control: true }, customer: { ...customer, only_program: "GnuCash" } })],
  "two-screens": [seen({ desktop: { width: 640, height: 400, screens } })],
  "locked": [still("locked")],
  "blanked": [still("blanked", { permissions: { view: true, control: true } })],
  "other-session": [still("other-session")],
  "program-hung": [still("program-hung", { permissions: { view: true, control: true } })],
  "tool-hung": [stale("tool-hung")],
  "line-slow": [stale("line-slow")],
  "ended": [seen({}), over("ended", "customer-closed", "outcome.customer-closed")],
  "interrupted": [seen({ permissions: { view: true, control: true } }), interrupted(seen({}, [entry("trouble", "log.interrupted")]))],
  "interrupted-before-view": [connected({}), interrupted(connected({}, [entry("trouble", "log.interrupted")]))],
  "resumed": [interrupted(seen({}, [entry("trouble", "log.interrupted")])), seen({ permissions: { view: true, control: true } },
    [entry("trouble", "log.interrupted"), entry("given", "log.resumed")])],
  "asking-restart": [seen({ asking: asking("restart", restart) })],
  "restart-allowed": [seen({ restart_until: Date.now() + 900_000 }, [entry("given", "log.restart-given")])],
  "restarting": [seen({ restart_until: Date.now() + 900_000 }), interrupted(seen({ restart_until: Date.now() + 900_000 }, [entry("trouble", "log.restarting")]))],
  "wrong-code": [over("failed", "wrong-code", "failure.wrong-code", {}, { connected_at: null, customer: null })],
  "unknown-code": [over("failed", "unknown-nameplate", "failure.unknown-nameplate", {}, { connected_at: null, customer: null })],
  "broke-off": [over("failed", "link-lost", "failure.link-lost")],
};

/** What is done in a state before it is looked at, by `data-testid`. */
export const actions = {
  "typing-wrong": { state: "ready", type: { code: "184153488" } },
  "typing-id": { state: "ready", type: { code: "184153489", password: "352" } },
  "typing-ready": { state: "ready", type: { code: "184153489", password: "352548" } },
  "about": { state: "ready", press: "about-open" },
  "end-asked": { state: "control", press: "end" },
  "full-screen-asked": { state: "asking-control", press: "full-screen", focus: "ask-control" },
  "panel-hidden": { state: "viewing", press: "toggle-panel" },
  "case-note": { state: "ended", type: { "case-number": "2026-1234", "case-note": "ALV-ilmoitus, rivi 12" } },
};
