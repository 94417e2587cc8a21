// What a person does at the screen of a desktop, and what the guest and its VNC server notice of it.
import { check, curtain, enter, equal, facts, inGuest, isOpenToAll, openIn, picture, quiet, require_, sarang, sessionOf, startGateway, stopGateway, type, until } from "./house.mjs";

const GONE = /ERR_|WebSocket|Connection closed|status of 50[24]/;
const BOOT_MS = 60000;
const TYPED = "It works: A-Z {}|~";
const canvas = (page) => page.locator("#screen canvas");
const connected = (page, limit_ms) => page.locator("#console-state", { hasText: /Connected|연결됨/ }).waitFor({ timeout: limit_ms });

// How many colours the picture has, and a sum that changes with it.
const drawn = (page) => canvas(page).evaluate((c) => {
  const copy = new OffscreenCanvas(c.width, c.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(c, 0, 0);
  const { data } = copy.getImageData(0, 0, c.width, c.height);
  const colours = new Set();
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) {
    const colour = data[i] * 65536 + data[i + 1] * 256 + data[i + 2];
    colours.add(colour);
    sum = (sum * 31 + colour) % 2147483647;
  }
  return { colours: colours.size, sum, width: c.width, height: c.height };
});

async function connect(page, pool, limit_ms) {
  await page.locator("#pools li, #sessions li", { hasText: pool }).locator("button.primary").click();
  await connected(page, limit_ms);
}

const holds = async (desktop, path) => String(await inGuest(desktop, `cat ${path} 2>/dev/null`)).trim();

async function tellOfWork() {
  await check("asked for and connected: noVNC draws, and keys arrive in the guest", async () => {
    const page = await enter("jihye");
    await connect(page, "Writing & testing", BOOT_MS);
    const { desktop } = await sessionOf("jihye", "writing");
    equal(await page.textContent("#console-name"), `writing · ${desktop}`, "what the bar names");
    await until("a picture with letters", async () => (await drawn(page)).colours > 1);
    const before = await drawn(page);
    equal([before.width, before.height], [720, 400], "the guest's screen");
    await inGuest(desktop, `openvt -c 2 -s -- sh -c 'echo "Type a line:"; read -r line; echo "$line" > /root/typed; echo "Thank you."' >/dev/null 2>&1`);
    await until("the guest has another screen", async () => (await drawn(page)).sum !== before.sum);
    await canvas(page).click();
    await type(page, TYPED);
    await until("what was typed is in the guest", async () => (await holds(desktop, "/root/typed")) === TYPED, BOOT_MS);
    await picture(page, "console");
    await isOpenToAll(page, "the console");
    quiet(page);
  });
  await check("the pointer arrives where it points, scaled or not", async () => {
    const page = await enter("jihye");
    await connect(page, "Writing & testing");
    const { desktop } = await sessionOf("jihye", "writing");
    const device = String(await inGuest(desktop, "modprobe evdev; grep -l Tablet /sys/class/input/event*/device/name | cut -d/ -f5")).trim();
    require_(/^event\d+$/.test(device), `the tablet is ${device}`);
    await inGuest(desktop, `cat /dev/input/${device} > /tmp/pointer 2>/dev/null & echo $! > /tmp/reader`);
    const fitted = await clickAt(page, desktop, 180, 300);
    await page.locator("label", { hasText: "Fit" }).click();
    const plain = await clickAt(page, desktop, 540, 100);
    equal([Math.round(plain.width), Math.round(plain.height)], [720, 400], "the picture's size, not scaled");
    require_(fitted.width > 1200, `the picture's width, fitted to the window, is ${fitted.width}`);
    await inGuest(desktop, "kill $(cat /tmp/reader)");
    quiet(page);
  });
}

// Clicks at a place of the guest's screen and waits until its pointer device says just that; the picture's box on the page.
async function clickAt(page, desktop, x, y) {
  await inGuest(desktop, ": > /tmp/pointer");
  const box = await canvas(page).boundingBox();
  await page.mouse.click(box.x + (x * box.width) / 720, box.y + (y * box.height) / 400);
  const wanted = [(x / 720) * 32767, (y / 400) * 32767];
  await until(`a click at ${x}, ${y} of the guest's screen`, async () => {
    const { at, clicked } = pointerOf(await inGuest(desktop, "cat /tmp/pointer"));
    return clicked && at.every((value, axis) => Math.abs(value - wanted[axis]) < 150);
  });
  return box;
}

// linux/input.h: struct input_event of 24 bytes: time, type, code, value. EV_ABS 3: X 0, Y 1. EV_KEY 1: BTN_LEFT 0x110.
function pointerOf(bytes) {
  const at = [-1, -1];
  let clicked = false;
  for (let i = bytes.length % 24; i + 24 <= bytes.length; i += 24) {
    const [type, code, value] = [bytes.readUInt16LE(i + 16), bytes.readUInt16LE(i + 18), bytes.readInt32LE(i + 20)];
    if (type === 3 && code < 2) at[code] = value;
    clicked ||= type === 1 && code === 0x110 && value === 1;
  }
  return { at, clicked };
}

async function tellOfClipboard() {
  await check("the clipboard goes to the desktop's screen, and comes from it", async () => {
    const one = await enter("jihye", { permissions: ["clipboard-read", "clipboard-write"] });
    const other = await openIn(one.context());
    for (const page of [one, other]) {
      await page.locator("#home-view").waitFor();
      await connect(page, "Writing & testing");
    }
    // QEMU is between the two: what one gives it, it offers to the other, as it does to a guest's agent
    for (const [from, to, text] of [[one, other, "정월 대보름 & <b>\nline 2"], [other, one, "back again: naïve €"]]) {
      if (await from.locator("#clipboard").isHidden()) await from.locator("#clipboard-toggle").click();
      await from.fill("#clipboard-text", text);
      await from.locator("#clipboard-send").click();
      await until("the text has gone through the guest's display", async () => (await to.inputValue("#clipboard-text")) === text);
    }
    await picture(one, "console-clipboard");
    await isOpenToAll(one, "the clipboard");
    await one.locator("#clipboard-copy").click();
    equal(await one.evaluate(() => navigator.clipboard.readText()), "back again: naïve €", "this machine's clipboard");
    await one.locator("#clipboard-text").press("Escape");
    equal(await one.evaluate(() => document.activeElement.id), "clipboard-toggle", "the focus after Escape");
    quiet(one);
    quiet(other);
  });
}

async function tellOfBar() {
  await check("full screen and back; by Ctrl, Alt and Shift from the screen to the bar", async () => {
    const page = await enter("jihye");
    await connect(page, "Writing & testing");
    await page.locator("#full").click();
    await until("the console is the whole screen", () => page.evaluate(() => document.fullscreenElement?.id === "console-view"));
    await page.evaluate(() => document.exitFullscreen());
    await canvas(page).click();
    await page.keyboard.press("Tab");
    equal(await page.evaluate(() => document.activeElement.tagName), "CANVAS", "where Tab goes to");
    for (const key of ["Control", "Alt", "Shift"]) await page.keyboard.down(key);
    for (const key of ["Shift", "Alt", "Control"]) await page.keyboard.up(key);
    await until("the bar has the focus", () => page.evaluate(() => document.activeElement.id === "back"));
    await page.getByText("Ctrl, Alt and Shift together").waitFor();
    await picture(page, "console-bar");
    await page.keyboard.press("Enter");
    await page.locator("#home-view").waitFor();
    quiet(page);
  });
  await check("Ctrl-Alt-Del restarts the guest, and the picture goes on", async () => {
    const page = await enter("jihye");
    await connect(page, "Writing & testing");
    const { desktop } = await sessionOf("jihye", "writing");
    equal(await holds(desktop, "/var/lib/boots"), "1", "how often the guest has booted");
    await page.getByRole("button", { name: "Ctrl-Alt-Del" }).click();
    await until("the guest is up a second time", async () => (await holds(desktop, "/var/lib/boots").catch(() => "")) === "2", BOOT_MS);
    await until("its picture is there", async () => (await drawn(page)).colours > 1);
    quiet(page);
  });
  await check("the console in Korean, on a phone", async () => {
    const page = await enter("jihye", { locale: "ko-KR", viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    await connect(page, "Writing & testing");
    await isOpenToAll(page, "the console on a phone");
    const { width } = await canvas(page).boundingBox();
    require_(width > 300 && width <= 360, `the picture is ${width} wide`);
    await picture(page, "phone-console-ko");
    quiet(page);
  });
}

async function tellOfComingBack() {
  await check("who leaves and comes back has the same desktop", async () => {
    const page = await enter("jihye");
    const before = await sessionOf("jihye", "writing");
    await connect(page, "Writing & testing");
    await page.locator("#back").click();
    await page.locator("#sessions .state.disconnected").waitFor();
    await picture(page, "home-disconnected");
    await connect(page, "Writing & testing");
    const after = await sessionOf("jihye", "writing");
    equal([after.id, after.desktop], [before.id, before.desktop], "session and desktop");
    equal(await holds(after.desktop, "/root/typed"), TYPED, "the file typed before");
    quiet(page);
  });
  await check("a ticket that opens nothing any more is traded for a new one", async () => {
    const page = await enter("jihye");
    const answers = [];
    await page.route("**/ticket", async (route) => {
      const answer = await (await route.fetch()).json();
      answers.push(answer.ticket);
      await route.fulfill({ json: { ...answer, ticket: answers[0] } });
      if (answers.length === 2) await page.unroute("**/ticket");
    });
    await connect(page, "Writing & testing");
    await page.locator("#back").click();
    await connect(page, "Writing & testing");
    equal(answers.length, 2, "the number of tickets asked for while the first was given out again");
    quiet(page, GONE);
  });
  await check("the gateway is killed: the console says so, and is back with it", async () => {
    const page = await enter("jihye");
    await connect(page, "Writing & testing");
    await stopGateway();
    await curtain(page, /was lost|cannot be reached/);
    await page.getByRole("button", { name: "Try now" }).waitFor();
    await picture(page, "console-lost");
    await isOpenToAll(page, "a lost connection");
    await startGateway();
    await connected(page);
    await until("a picture", async () => (await drawn(page)).colours > 1);
    quiet(page, GONE);
  });
}

async function tellOfEnd() {
  await check("an operator ends the session: the page says who did", async () => {
    const page = await enter("jihye", { locale: "ko-KR" });
    await connect(page, "Writing & testing");
    const session = await sessionOf("jihye", "writing");
    await sarang("session", "end", session.id);
    await curtain(page, "운영자가 세션을 끝냈습니다.");
    await picture(page, "console-ended-ko");
    await isOpenToAll(page, "an ended session");
    await page.getByRole("button", { name: "데스크톱 목록" }).click();
    await page.locator("#no-sessions").waitFor();
    quiet(page, GONE);
  });
  await check("one's own session is ended from the bar", async () => {
    const page = await enter("mina");
    await connect(page, "설계 CAD");
    await page.locator("#end").click();
    await page.getByRole("button", { name: "End the session" }).click();
    await page.locator("#home-view").waitFor();
    await until("it has ended", async () => !(await sessionOf("mina", "full")));
    quiet(page, GONE);
  });
}

export async function tellOfConsole() {
  await tellOfWork();
  await tellOfClipboard();
  await tellOfBar();
  await tellOfComingBack();
  await tellOfEnd();
}
