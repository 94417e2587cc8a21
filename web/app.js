// The page: log in, my desktops, connect. Speaks the same API as the command line, and nothing else.
import RFB from "./novnc/core/rfb.js";
import { words } from "./words.js";

const $ = (id) => document.getElementById(id);
let language = localStorage.getItem("language") === "ko" || (!localStorage.getItem("language") && navigator.language.startsWith("ko")) ? 1 : 0;
let me = null;
let rfb = null;
let timer = 0;

const t = (key) => words[key][language];

function translate() {
  document.documentElement.lang = language ? "ko" : "en";
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  $("language").textContent = $("login-language").textContent = t("other");
}

function notice(text) {
  $("notice").textContent = text || "";
  $("notice").hidden = !text;
}

// ── the API ──────────────────────────────────────────────────────────────

class Refusal extends Error {
  constructor(status, problem) {
    super([problem.detail, problem.fix].filter(Boolean).join(" · ") || `HTTP ${status}`);
    this.status = status;
    this.code = problem.code;
  }
}

async function ask(method, path, body) {
  const answer = await fetch(`/api/v1${path}`, {
    method,
    headers: { "X-Sarang-CSRF": "1", "Accept-Language": language ? "ko" : "en", ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body ? JSON.stringify(body) : undefined,
    credentials: "same-origin",
    redirect: "error",
  });
  const json = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (!answer.ok) throw new Refusal(answer.status, json || {});
  return json;
}

// What went wrong is told; who is logged out goes to the login.
function tell(error) {
  if (error instanceof Refusal && error.status === 401 && me) {
    me = null;
    route();
    notice(t("loggedout"));
  } else {
    notice(error instanceof Refusal ? error.message : t("unreachable"));
  }
}

// ── views ────────────────────────────────────────────────────────────────

function show(view) {
  for (const name of ["login", "home", "console"]) $(`${name}-view`).hidden = name !== view;
  $("top").hidden = view !== "home";
  clearTimeout(timer);
}

function card(title, state, buttons) {
  const item = document.createElement("li");
  const name = document.createElement("strong");
  name.textContent = title;
  const note = document.createElement("span");
  note.textContent = state;
  item.append(name, note);
  for (const [label, kind, act] of buttons) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = kind;
    button.textContent = label;
    button.addEventListener("click", async () => {
      button.disabled = true;
      try { await act(); } catch (error) { tell(error); }
      button.disabled = false;
    });
    item.append(button);
  }
  return item;
}

const stateText = (session) => (session.ready && session.state === "assigned" ? t("ready") : session.state === "assigned" ? t("preparing") : t(session.state === "connecting" ? "connecting" : session.state) || session.state);

function sessionCard(session) {
  const connect = [t("connect"), "primary", async () => { location.hash = `#/session/${encodeURIComponent(session.id)}`; }];
  const end = [t("end"), "quiet", () => endSession(session.id)];
  return card(`${session.pool} · ${session.desktop || session.id}`, stateText(session), [...(session.ready ? [connect] : []), end]);
}

async function request(pool) {
  const session = await ask("POST", "/sessions", { pool });
  location.hash = `#/session/${encodeURIComponent(session.id)}`;
}

async function home() {
  show("home");
  $("who").textContent = me.title || me.name;
  try {
    const [sessions, pools] = await Promise.all([ask("GET", "/sessions"), ask("GET", "/pools")]);
    const live = sessions.items.filter((s) => s.user === me.name && s.state !== "ended");
    $("sessions").replaceChildren(...live.map(sessionCard));
    $("no-sessions").hidden = live.length > 0;
    const held = new Set(live.map((s) => s.pool));
    const open = pools.items.filter((p) => !held.has(p.name));
    $("pools").replaceChildren(...open.map((p) => card(p.title || p.name, p.title ? p.name : "", [[t("get"), "primary", () => request(p.name)]])));
    $("no-pools").hidden = pools.items.length > 0;
    notice("");
  } catch (error) {
    tell(error);
  }
  if (!$("home-view").hidden) timer = setTimeout(home, 2000);
}

async function endSession(id) {
  $("confirm").showModal();
  const answer = await new Promise((done) => $("confirm").addEventListener("close", () => done($("confirm").returnValue), { once: true }));
  if (answer !== "yes") return;
  await ask("POST", `/sessions/${encodeURIComponent(id)}/end`, {});
  location.hash = "#/";
  route();
}

// ── the console ──────────────────────────────────────────────────────────

function disconnect() {
  if (rfb) rfb.disconnect();
  rfb = null;
}

function gone(text) {
  $("gone-text").textContent = text;
  $("gone").hidden = false;
  $("console-state").textContent = "";
}

function listen(session) {
  rfb.addEventListener("connect", () => { $("console-state").textContent = t("connected"); rfb.focus(); });
  rfb.addEventListener("disconnect", () => { if (rfb) gone(t("lost")); rfb = null; });
  rfb.addEventListener("clipboard", (event) => { $("clipboard-text").value = event.detail.text; });
  $("screen").dataset.session = session.id;
}

async function connect(id) {
  disconnect();
  $("gone").hidden = true;
  $("console-state").textContent = t("connecting");
  const session = await ask("GET", `/sessions/${encodeURIComponent(id)}`);
  $("console-name").textContent = `${session.pool} · ${session.desktop || session.id}`;
  if (session.state === "ended") return gone(session.error ? session.error.text : t("ended"));
  if (!session.ready) {
    $("console-state").textContent = t(session.state === "requested" ? "requested" : "preparing");
    timer = setTimeout(() => connect(id).catch(tell), 500);
    return undefined;
  }
  const ticket = await ask("POST", `/sessions/${encodeURIComponent(id)}/ticket`, { protocol: "vnc", origin: location.origin });
  rfb = new RFB($("screen"), `wss://${location.host}/console`, { wsProtocols: ["binary", `ticket.${ticket.ticket}`] });
  rfb.scaleViewport = $("scale").checked;
  rfb.resizeSession = false;
  rfb.background = "#20242c";
  listen(session);
  return undefined;
}

// ── what the buttons do ──────────────────────────────────────────────────

const sessionInView = () => decodeURIComponent(location.hash.split("/")[2] || "");

function setLanguage() {
  language = 1 - language;
  localStorage.setItem("language", language ? "ko" : "en");
  translate();
  if (me && !$("home-view").hidden) home();
}

$("language").addEventListener("click", setLanguage);
$("login-language").addEventListener("click", setLanguage);
$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  try {
    await ask("POST", "/login", { name: form.get("name"), password: form.get("password") });
    event.target.reset();
    await start();
  } catch (error) {
    notice(error instanceof Refusal ? error.message : t("unreachable"));
  }
});
$("logout").addEventListener("click", async () => {
  await ask("POST", "/logout", {}).catch(() => {});
  me = null;
  route();
});
$("scale").addEventListener("change", () => { if (rfb) rfb.scaleViewport = $("scale").checked; });
$("cad").addEventListener("click", () => rfb && rfb.sendCtrlAltDel());
$("full").addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : $("console-view").requestFullscreen()));
$("clipboard-toggle").addEventListener("click", () => {
  $("clipboard").hidden = !$("clipboard").hidden;
  $("clipboard-toggle").setAttribute("aria-expanded", String(!$("clipboard").hidden));
});
$("clipboard-send").addEventListener("click", () => rfb && rfb.clipboardPasteFrom($("clipboard-text").value));
$("again").addEventListener("click", () => connect(sessionInView()).catch(tell));
$("end").addEventListener("click", () => endSession(sessionInView()).catch(tell));

function route() {
  notice("");
  const id = sessionInView();
  if (!me) {
    disconnect();
    show("login");
  } else if (location.hash.startsWith("#/session/") && id) {
    show("console");
    connect(id).catch(tell);
  } else {
    disconnect();
    home();
  }
}

async function start() {
  try {
    me = await ask("GET", "/me");
  } catch (error) {
    me = null;
    if (!(error instanceof Refusal)) notice(t("unreachable"));
  }
  route();
}

window.addEventListener("hashchange", route);
translate();
start();
