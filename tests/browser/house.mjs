// What the stories stand on: the facts of the house they are told in, its gateway, its command line, one Chromium, and checks
// that count themselves. No sleeps: everything waits for something, with a deadline.
import { execFile, spawn } from "node:child_process";
import { openSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { promisify } from "node:util";

export const facts = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(`${facts.modules}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const execute = promisify(execFile);
const WANTED = process.argv.slice(2);
const DEADLINE_MS = 15000;

// ── waiting and checking ──

export function require_(condition, text) {
  if (!condition) throw new Error(text);
}

export function equal(got, wanted, what) {
  require_(JSON.stringify(got) === JSON.stringify(wanted), `${what} is ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
}

export async function until(what, condition, limit_ms = DEADLINE_MS) {
  for (const end = performance.now() + limit_ms; ;) {
    const value = await condition();
    if (value) return value;
    require_(performance.now() < end, `not within ${limit_ms / 1000} s: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

let failed = 0;
export async function check(title, story) {
  if (WANTED.length && !WANTED.some((word) => title.includes(word))) return;
  const begin = performance.now();
  try {
    await story();
    console.log(`ok   ${title}  (${((performance.now() - begin) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${title}: ${error.stack.split("\n").filter((line) => !/playwright-core|node:internal/.test(line)).slice(0, 12).join("\n       ")}`);
    for (const page of seats) await page.screenshot({ path: `${facts.out}/failed-${failed}.png` }).catch(() => {});
  } finally {
    await Promise.all([...seats].map((page) => page.context().close().catch(() => {})));
    seats.clear();
  }
}

// ── the house ──

// The command line on the controller's own socket, as an operator has it.
export async function sarang(...words) {
  const { stdout } = await execute(facts.sarang, [...words, "-o", "json"], { env: { ...process.env, SARANG_SOCKET: facts.socket } });
  return stdout ? JSON.parse(stdout) : null;
}

export const sessionOf = async (user, pool) =>
  (await sarang("session", "list")).find((s) => s.user === user && s.pool === pool && s.state !== "ended");

let gateway = null;
export async function startGateway() {
  const log = openSync(facts.gateway_log, "a");
  gateway = spawn(facts.gateway[0], facts.gateway.slice(1), { stdio: ["ignore", log, log] });
  const { hostname, port } = new URL(facts.page);
  await until("the gateway listens", () => new Promise((done) => {
    const probe = connect(port, hostname).on("connect", () => { probe.destroy(); done(true); }).on("error", () => done(false));
  }));
}

export async function stopGateway(signal = "SIGKILL") {
  if (!gateway || gateway.exitCode !== null) return;
  const ended = new Promise((done) => gateway.once("exit", done));
  gateway.kill(signal);
  await ended;
}

// ── the inside of a guest, past everything of ours ──

// What the guest agent returns; it fails while there is none.
export async function agent(desktop, execute_, args = {}) {
  const question = JSON.stringify({ execute: execute_, arguments: args });
  const { stdout } = await execute("virsh", ["-q", "-c", facts.libvirt, "qemu-agent-command", `sarang-${desktop}`, question]);
  return JSON.parse(stdout).return;
}

// The output of a shell script run in the guest.
export async function inGuest(desktop, script) {
  const { pid } = await agent(desktop, "guest-exec", { path: "/bin/sh", arg: ["-c", script], "capture-output": true });
  const state = await until("the program ends in the guest", async () => {
    const now = await agent(desktop, "guest-exec-status", { pid });
    return now.exited && now;
  });
  return Buffer.from(state["out-data"] || "", "base64");
}

// Types as on a keyboard: a capital is its key with Shift. What a guest gets are keys, not letters.
const SHIFTED = new Map([...'~!@#$%^&*()_+{}|:"<>?'].map((letter, i) => [letter, "`1234567890-=[]\\;',./"["~!@#$%^&*()_+{}|:\"<>?".indexOf(letter)]]));
export async function type(page, text) {
  for (const letter of text) {
    const plain = SHIFTED.get(letter) || letter.toLowerCase();
    await page.keyboard.press(plain === letter ? letter : `Shift+${plain}`, { delay: 15 });
  }
  await page.keyboard.press("Enter");
}

// ── the browser ──

let browser = null;
const seats = new Set();

async function launch() {
  return chromium.launch({
    executablePath: facts.chromium,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"],
  });
}

// A page of its own in a browser profile of its own. What Chromium complains of is in page.complaints.
export async function open(options = {}) {
  browser ||= await launch();
  const context = await browser.newContext({ viewport: { width: 1280, height: 848 }, locale: "en-US", ignoreHTTPSErrors: true, ...options });
  return openIn(context);
}

export async function openIn(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  page.complaints = [];
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) page.complaints.push(message.text()); });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("dialog", (dialog) => { page.complaints.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
  await page.addInitScript(() => addEventListener("securitypolicyviolation", (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI}`)));
  seats.add(page);
  await page.goto(facts.page);
  await page.locator("main:visible").waitFor();
  return page;
}

// Chromium itself writes every refused request to its console: those that a story asks for are named by it.
export function quiet(page, ...expected) {
  const left = page.complaints.filter((text) => !expected.some((pattern) => pattern.test(text)));
  equal(left, [], "what the browser complains of");
}

export async function logIn(page, user = "jihye", password = `${user}-password`) {
  await page.fill("input[name=name]", user);
  await page.fill("input[name=password]", password);
  await page.click("#login-button");
}

// My desktops, as a person finds them who has logged in before.
const known = new Map();
export async function enter(user, options = {}) {
  const page = await open({ storageState: known.get(user), ...options });
  if (!known.has(user)) await logIn(page, user);
  await page.locator("#home-view").waitFor();
  if (!known.has(user)) known.set(user, await page.context().storageState());
  return page;
}

export const picture = (page, name) => page.screenshot({ path: `${facts.out}/${name}.png` });

export const noticed = (page, pattern) => page.locator("#notice").filter({ hasText: pattern }).waitFor();
export const curtain = (page, pattern, timeout) => page.locator("#curtain").filter({ hasText: pattern }).waitFor({ timeout });

// No barrier that axe-core calls serious or critical, and nothing that needs scrolling sideways.
export async function isOpenToAll(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  const serious = violations.filter((v) => ["serious", "critical"].includes(v.impact));
  equal(serious.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ")).join(", ")}`), [], `what axe finds in ${what}`);
  equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, `whether ${what} fits the window's width`);
}

export async function close() {
  await browser?.close();
  await stopGateway("SIGTERM");
  process.exitCode = failed ? 1 : 0;
}
