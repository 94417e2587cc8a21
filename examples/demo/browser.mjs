// node browser.mjs < {"address", "user", "password", "pool", "line", "chromium", "modules", "png"}
// What a person does on the page: logs in; after a second line of input connects, moves a window by its title bar, types a line. Without a line to
// type: watches what the guest draws.
// Prints the name of each step done.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ask = JSON.parse((await input.next()).value);
const { chromium } = createRequire(`${ask.modules}/`)("playwright-core");

// The guest's picture on the page: guest pixels <-> page pixels. The viewer may scale it.
async function screenOf(page) {
  const canvas = page.locator("#screen canvas");
  const box = await canvas.boundingBox();
  const size = await canvas.evaluate((c) => [c.width, c.height]);
  return { at: (x, y) => [box.x + (x * box.width) / size[0], box.y + (y * box.height) / size[1]] };
}

// The colours of every third pixel each way of a part of the guest's picture.
const area = (page, ...part) => page.locator("#screen canvas").evaluate((canvas, [left, top, width, height]) => {
  const { data } = canvas.getContext("2d").getImageData(left, top, width, height);
  const colours = [];
  for (let y = 0; y < height; y += 3) {
    for (let x = 0; x < width; x += 3) colours.push([...data.slice(4 * (y * width + x), 4 * (y * width + x) + 3)]);
  }
  return colours;
}, part);

const near = (one, other) => one.every((value, i) => Math.abs(value - other[i]) < 8);

// How much of two areas is the same.
const likeness = (one, other) => one.filter((colour, i) => near(colour, other[i])).length / one.length;

async function until(what, condition, limit_ms = 30000) {
  const end = performance.now() + limit_ms;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`no ${what} after ${limit_ms / 1000} s`);
    await new Promise((done) => setTimeout(done, 200));
  }
}

// A part of the picture once it has not changed for a second.
async function still(page, ...part) {
  for (let before = null, now = await area(page, ...part); ; before = now, now = await area(page, ...part)) {
    if (before && likeness(before, now) === 1) return now;
    await new Promise((done) => setTimeout(done, 1000));
  }
}

async function logIn(page) {
  await page.goto(ask.address);
  await page.fill("input[name=name]", ask.user);
  await page.fill("input[name=password]", ask.password);
  await page.click("#login button.primary");
  await page.locator("#home-view").waitFor({ state: "visible" });
  console.log("logged in");
}

async function openConsole(page) {
  await page.locator("#sessions li", { hasText: ask.pool }).locator("button.primary").click();
  await page.locator("#screen canvas").waitFor({ state: "visible", timeout: 60000 });
}

async function connect(page) {
  await openConsole(page);
  await until("picture", async () => new Set((await area(page, 0, 0, 1280, 300)).map(String)).size > 100);
  await still(page, 0, 0, 1280, 760);
  console.log("connected");
}

// A guest that draws by itself: bars of colour from left to right, and below them a block that walks.
const BARS = [[255, 255, 255], [255, 255, 0], [0, 255, 255], [0, 255, 0], [255, 0, 255], [255, 0, 0], [0, 0, 255], [32, 32, 32]];

async function watchDrawing(page) {
  await openConsole(page);
  const size = await page.locator("#screen canvas").evaluate((canvas) => [canvas.width, canvas.height]);
  const barsOf = async () => Promise.all(BARS.map(async (_, i) => (await area(page, Math.floor((size[0] * (2 * i + 1)) / 16), 10, 1, 1))[0]));
  await until("bars that the guest draws", async () => (await barsOf()).every((colour, i) => near(colour, BARS[i])), 120000);
  console.log(`the guest's bars, ${size[0]}x${size[1]}`);
  const middle = [0, size[1] / 2, size[0], 40];
  const before = await area(page, ...middle);
  await until("block that walks", async () => likeness(before, await area(page, ...middle)) < 0.99, 60000);
  console.log("the picture moves");
}

// Where the guest puts its first terminal, in its own pixels: the title bar, and its text below.
const TITLE = [300, 72], TEXT = [140, 92, 560, 280], DRAG = [150, 120];

async function moveWindow(page) {
  const screen = await screenOf(page);
  const [left, top, width, height] = TEXT;
  const before = await area(page, ...TEXT);
  await page.mouse.move(...screen.at(...TITLE));
  await page.mouse.down();
  for (let part = 1; part <= 12; part++) {
    await page.mouse.move(...screen.at(TITLE[0] + (DRAG[0] * part) / 12, TITLE[1] + (DRAG[1] * part) / 12));
    await new Promise((done) => setTimeout(done, 40));
  }
  await page.mouse.up();
  const there = [left + DRAG[0], top + DRAG[1], width, height];
  await until("window where it was dragged to", async () =>
    likeness(before, await area(page, ...there)) > 0.97 && likeness(before, await area(page, ...TEXT)) < 0.9);
  console.log("window moved");
}

// As on a keyboard: a capital is a letter's key with Shift. What the guest gets are keys, not letters.
const KEYS = { "|": "Shift+Backslash", " ": "Space", ".": "Period", "-": "Minus" };
const keyOf = (letter) => KEYS[letter] || `${letter === letter.toUpperCase() ? "Shift+" : ""}Key${letter.toUpperCase()}`;

async function typeLine(page) {
  const screen = await screenOf(page);
  const there = [TEXT[0] + DRAG[0], TEXT[1] + DRAG[1], TEXT[2], TEXT[3]];
  const before = await area(page, ...there);
  await page.mouse.click(...screen.at(TITLE[0] + DRAG[0], TITLE[1] + DRAG[1] + 280));
  for (const letter of ask.line) await page.keyboard.press(keyOf(letter), { delay: 40 });
  await page.keyboard.press("Enter");
  await page.mouse.move(...screen.at(1000, 700));
  await until("answer in the terminal", async () => likeness(before, await still(page, ...there)) < 0.999, 60000);
  console.log("line typed");
}

const browser = await chromium.launch({
  executablePath: ask.chromium,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"],
});
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 848 }, ignoreHTTPSErrors: true });
  await logIn(page);
  await input.next();
  if (ask.line) {
    await connect(page);
    await moveWindow(page);
    await typeLine(page);
  } else {
    await watchDrawing(page);
  }
  await page.screenshot({ path: ask.png });
} finally {
  await browser.close();
}
