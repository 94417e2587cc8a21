// The page: log in, my desktops, and the bar around a desktop's console.
import { ask, askAll, Refusal } from "./api.js";
import { Console } from "./console.js";
import { speakOther, t, tOr, tag, translate } from "./language.js";

const $ = (id) => document.getElementById(id);
const REFRESH_MS = 2000;
let me = null;
let seat = null; // the Console that is open
let timer = 0;
let drawn = "";
let lastNews = null;

// ── what is said across views ────────────────────────────────────────────

function notice(text, fix) {
  $("notice-text").textContent = text || "";
  $("notice-fix").textContent = fix || "";
  $("notice").hidden = !text;
}

// What went wrong is told; who is logged out goes to the login.
function tell(error) {
  if (!(error instanceof Refusal)) {
    $("offline").hidden = false;
  } else if (error.status === 401 && me) {
    leave();
    notice(t("loggedout"));
  } else {
    notice(error.message, error.fix);
  }
}

function show(view) {
  for (const name of ["login", "home", "console"]) $(`${name}-view`).hidden = name !== view;
  $("top").hidden = view === "console";
  $("person").hidden = view !== "home";
  $("offline").hidden = true;
  clearTimeout(timer);
}

function element(name, kind, text) {
  const node = document.createElement(name);
  node.className = kind;
  node.textContent = text;
  return node;
}

// ── my desktops ──────────────────────────────────────────────────────────

function actionButton(key, label, kind, act) {
  const button = element("button", kind, label);
  button.type = "button";
  button.dataset.key = key;
  button.addEventListener("click", async () => {
    if (button.ariaDisabled) return; // not really disabled, which would take the focus from it
    button.ariaDisabled = "true";
    notice("");
    try { await act(); } catch (error) { tell(error); }
    button.ariaDisabled = null;
  });
  return button;
}

// Which of a session's states a person cares for.
function shownState(session) {
  if (session.state === "offered") return session.ready ? "offered" : "assigned";
  return session.ready && session.state === "assigned" ? "ready" : session.state;
}

// By the clock of where the person sits; with its day where that is another one.
function clock(time) {
  const at = new Date(time);
  const day = at.toDateString() === new Date().toDateString() ? {} : { month: "short", day: "numeric" };
  return at.toLocaleString(tag(), { ...day, hour: "2-digit", minute: "2-digit" });
}

// Until when a session is there; "" where no end is known.
function until(session) {
  const kind = session.take_by ? "take" : session.state === "warned" ? "warned" : "ends";
  const time = session.take_by || session.ends;
  return time ? t(`until.${kind}`).replace("{at}", clock(time)) : "";
}

function card({ title, about, state, time, buttons }) {
  const item = element("li", "card", "");
  const text = element("div", "card-text", "");
  text.append(element("h3", "", title), element("p", "about", about));
  if (state) text.append(element("p", `state ${state}`, t(`state.${state}`)));
  if (time) text.append(element("p", "until", time));
  const side = element("div", "card-buttons", "");
  side.append(...buttons);
  item.append(text, side);
  return item;
}

function sessionCard(session, pool) {
  const open = () => { location.hash = `#/session/${encodeURIComponent(session.id)}`; };
  const buttons = [actionButton(`end ${session.id}`, t("end"), "quiet", () => endSession(session.id, pool.kind))];
  if (session.ready) buttons.push(actionButton(`connect ${session.id}`, t("connect"), "primary", open));
  return card({ title: pool.title || session.pool, about: [session.pool, session.desktop].filter(Boolean).join(" · "), state: shownState(session),
    time: until(session), buttons });
}

function poolCard(pool) {
  return card({ title: pool.title || pool.name, about: tOr(pool.kind, "floating"),
    buttons: [actionButton(`get ${pool.name}`, t("get"), "primary", () => request(pool.name))] });
}

async function request(pool) {
  const session = await ask("POST", "/sessions", { pool });
  location.hash = `#/session/${encodeURIComponent(session.id)}`;
}

const focusOn = (key) => key && document.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();

// Draws only what is new, so that the keyboard's focus stays where it was.
function draw(sessions, pools) {
  const now = JSON.stringify([document.documentElement.lang, sessions, pools]);
  if (now === drawn) return;
  drawn = now;
  const held = document.activeElement?.dataset.key;
  const byName = new Map(pools.map((pool) => [pool.name, pool]));
  const mine = new Set(sessions.map((session) => session.pool));
  const free = pools.filter((pool) => !mine.has(pool.name));
  $("sessions").replaceChildren(...sessions.map((session) => sessionCard(session, byName.get(session.pool) || {})));
  $("pools").replaceChildren(...free.map(poolCard));
  $("no-sessions").hidden = sessions.length > 0;
  $("no-pools").textContent = pools.length ? t("allheld") : t("nopools");
  $("no-pools").hidden = free.length > 0;
  focusOn(held);
}

const kept = (object, names) => Object.fromEntries(names.map((name) => [name, object[name]]));

async function refresh() {
  clearTimeout(timer);
  try {
    const [sessions, pools] = await Promise.all([askAll("/sessions", { user: me.name }), askAll("/pools")]);
    if ($("home-view").hidden) return;
    draw(sessions.filter((s) => s.state !== "ended").map((s) => kept(s, ["id", "pool", "desktop", "state", "ready", "take_by", "ends"])),
      pools.map((p) => kept(p, ["name", "title", "kind"])));
    $("offline").hidden = true;
  } catch (error) {
    tell(error);
  }
  if (!$("home-view").hidden) timer = setTimeout(refresh, REFRESH_MS);
}

async function home() {
  show("home");
  drawn = "";
  document.title = "사랑방 Sarang";
  $("who").textContent = me.title || me.name;
  await refresh();
}

async function endSession(id, kind) {
  $("end-text").textContent = tOr(`end.${kind}`, "end.floating");
  $("confirm").returnValue = "no";
  const asker = document.activeElement?.dataset.key;
  $("confirm").showModal();
  await new Promise((done) => $("confirm").addEventListener("close", done, { once: true }));
  if (document.activeElement === document.body) focusOn(asker); // the button may have been drawn anew
  if ($("confirm").returnValue !== "yes") return;
  await ask("POST", `/sessions/${encodeURIComponent(id)}/end`, {});
  if (location.hash.startsWith("#/session/")) location.hash = "#/";
  else await refresh();
}

// ── a desktop's console ──────────────────────────────────────────────────

const sessionInView = () => decodeURIComponent(location.hash.split("/")[2] || "");

// What stands in front of the screen: [text, more of it].
const curtains = {
  reaching: () => [t("reaching")],
  waiting: ({ session }) => [tOr(`state.${shownState(session)}`, "state.assigned")],
  lost: ({ code, error }) => [error ? error.message : tOr(`lost.${code}`, "lost"), t("retrying")],
  unreachable: () => [t("unreachable")],
  ended: ({ session }) => [tOr(`ended.${session.reason}`, "ended.none"), session.error?.text],
  refused: ({ error }) => [error.message, error.fix],
};

function tellOfConsole(news) {
  lastNews = news;
  const { phase, session, error } = news;
  if (phase === "refused" && error.status === 401) return tell(error);
  if (session) {
    $("console-name").textContent = [session.pool, session.desktop].filter(Boolean).join(" · ");
    document.title = `${$("console-name").textContent} · Sarang`;
  }
  $("console-state").textContent = phase === "connected" ? [t("connected"), session.ends && until({ ...session, take_by: null })].filter(Boolean).join(" · ") : "";
  $("console-state").classList.toggle("warned", phase === "connected" && session.state === "warned");
  $("curtain").hidden = phase === "connected";
  $("screen").inert = phase !== "connected";
  if (phase === "connected") return news.again ? undefined : seat.rfb.focus();
  const [text, more] = curtains[phase](news);
  $("curtain-text").textContent = text;
  $("curtain-more").textContent = more || "";
  const over = phase === "ended" || phase === "refused";
  $("curtain").classList.toggle("busy", !over);
  $("again").hidden = !["lost", "unreachable"].includes(phase);
  $("leave").hidden = !over;
  $("end").disabled = over;
  return undefined;
}

function sit(id) {
  show("console");
  $("console-name").textContent = "";
  $("clipboard-text").value = "";
  showClipboard(false);
  seat = new Console($("screen"), id, tellOfConsole, (text) => {
    $("clipboard-text").value = text;
    $("clipboard-toggle").classList.toggle("new", $("clipboard").hidden);
  });
  seat.fit = $("scale").checked;
  seat.run();
}

function rise() {
  seat?.close();
  seat = null;
  if (document.fullscreenElement) document.exitFullscreen();
}

function showClipboard(wanted) {
  $("clipboard").hidden = !wanted;
  $("clipboard-toggle").setAttribute("aria-expanded", String(wanted));
  $("clipboard-toggle").classList.remove("new");
  if (wanted) $("clipboard-text").focus();
}

async function toggleFull() {
  if (document.fullscreenElement) return document.exitFullscreen();
  await $("console-view").requestFullscreen();
  return navigator.keyboard?.lock?.().catch(() => {}); // keys such as Escape go to the desktop, too
}

// The screen takes every key, Tab as well. Ctrl, Alt and Shift, pressed and let go with nothing else, lead out of it.
let leaving = false;
function watchKeys(event) {
  const all = event.ctrlKey && event.altKey && event.shiftKey;
  const modifier = ["Control", "Alt", "Shift", "Meta"].includes(event.key);
  if (event.type === "keydown") leaving = modifier && (all || leaving);
  else if (leaving && !event.ctrlKey && !event.altKey && !event.shiftKey) setTimeout(() => { leaving = false; $("back").focus(); });
}

$("screen").addEventListener("keydown", watchKeys, true);
$("screen").addEventListener("keyup", watchKeys, true);
$("scale").addEventListener("change", () => seat?.setFit($("scale").checked));
$("cad").addEventListener("click", () => { seat?.rfb?.sendCtrlAltDel(); seat?.rfb?.focus(); });
$("full").addEventListener("click", toggleFull);
$("clipboard-toggle").addEventListener("click", () => showClipboard($("clipboard").hidden));
$("clipboard").addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  showClipboard(false);
  $("clipboard-toggle").focus();
});
$("clipboard-send").addEventListener("click", () => seat?.rfb?.clipboardPasteFrom($("clipboard-text").value));
$("clipboard-copy").addEventListener("click", () => navigator.clipboard.writeText($("clipboard-text").value).catch(() => $("clipboard-text").select()));
$("again").addEventListener("click", () => seat?.wake());
$("leave").addEventListener("click", () => { location.hash = "#/"; });
$("end").addEventListener("click", async () => {
  const session = lastNews?.session;
  const pool = session && await ask("GET", `/pools/${encodeURIComponent(session.pool)}`).catch(() => null);
  await endSession(sessionInView(), pool?.kind).catch(tell);
});

// ── in and out ───────────────────────────────────────────────────────────

function leave() {
  me = null;
  localStorage.removeItem("here");
  route();
}

async function start() {
  try {
    me = await ask("GET", "/me");
    localStorage.setItem("here", "1");
  } catch (error) {
    if (error instanceof Refusal) return leave();
    show("login");
    tell(error);
    timer = setTimeout(start, REFRESH_MS);
    return undefined;
  }
  return route();
}

$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  $("login-button").disabled = true;
  $("login-error").textContent = "";
  try {
    await ask("POST", "/login", { name: form.get("name"), password: form.get("password") });
    event.target.reset();
    await start();
  } catch (error) {
    $("login-error").textContent = error instanceof Refusal ? [error.message, error.fix].filter(Boolean).join(" ") : t("unreachable");
    event.target.elements.password.select();
  } finally {
    $("login-button").disabled = false;
  }
});
$("logout").addEventListener("click", async () => {
  try {
    await ask("POST", "/logout", {});
    leave();
  } catch (error) {
    tell(error);
  }
});
$("dismiss").addEventListener("click", () => notice(""));
for (const button of document.querySelectorAll(".language")) {
  button.addEventListener("click", () => {
    speakOther();
    notice("");
    $("login-error").textContent = "";
    if (me && !$("home-view").hidden) refresh();
  });
}

function route() {
  const id = sessionInView();
  rise();
  notice("");
  if (!me) {
    show("login");
    document.title = "사랑방 Sarang";
    $("login").elements.name.focus();
  } else if (location.hash.startsWith("#/session/") && id) {
    sit(id);
  } else {
    home();
  }
}

window.addEventListener("hashchange", route);
translate();
// who was never here, or has left, is not asked for: that would only be refused
if (localStorage.getItem("here")) start();
else route();
