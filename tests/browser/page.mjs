// What a person does before a screen is there: logs in, looks at desktops, asks for one, leaves.
import { check, curtain, enter, equal, facts, isOpenToAll, logIn, noticed, open, openIn, picture, quiet, require_, sarang, sessionOf, startGateway, stopGateway, until } from "./house.mjs";

const KOREAN = { locale: "ko-KR" };
const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };
const REFUSED = /status of (401|503)/;
const GONE = /ERR_|status of 50[24]/;

// All that can be read on the page now, and what is only told to screen readers.
const readable = (page) => page.evaluate(() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) {
    const at = walker.currentNode.parentElement;
    if (at.checkVisibility({ visibilityProperty: false }) && !at.closest(".language, [lang]:not(html)")) texts.push(walker.currentNode.data.trim());
  }
  for (const node of document.querySelectorAll("[aria-label]")) if (node.checkVisibility()) texts.push(node.ariaLabel);
  return texts.filter(Boolean);
});

// Names are names in every language; so are keys.
const NAMES = ["Sarang", "Writing & testing", "writing", "full", "own", facts.hostile, "Ctrl-Alt-Del", "Ctrl, Alt, Shift", "CAD", "d-\\d+", "HTTP"];
const withoutNames = (text) => NAMES.reduce((rest, name) => rest.replace(new RegExp(name.replace(/[<>()]/g, "\\$&"), "g"), ""), text);
async function speaksKorean(page) {
  equal(await page.getAttribute("html", "lang"), "ko", "the page's language");
  equal((await readable(page)).filter((text) => /[A-Za-z]{2,}/.test(withoutNames(text))), [], "English on the Korean page");
}
async function speaksEnglish(page) {
  equal(await page.getAttribute("html", "lang"), "en", "the page's language");
  equal((await readable(page)).filter((text) => /[가-힣]/.test(text.replace(/김지혜|설계/g, ""))), [], "Korean on the English page");
}

const card = (page, list, text) => page.locator(`#${list} li`, { hasText: text });

async function tellOfLogin() {
  await check("the door: nobody is asked for anything but name and password, nothing is inline", async () => {
    const page = await open();
    await page.locator("#login-view").waitFor();
    await picture(page, "login");
    equal(await page.title(), "사랑방 Sarang", "the title");
    equal(await page.evaluate(() => document.activeElement.name), "name", "where typing goes");
    await isOpenToAll(page, "the login");
    await speaksEnglish(page);
    const answer = await page.request.get(facts.page);
    require_(!/unsafe|\*/.test(answer.headers()["content-security-policy"]), "the policy lets inline things in");
    require_(!/<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=/.test(await answer.text()), "the page has something inline");
    quiet(page);
  });
  await check("a wrong password is named, in English and in Korean", async () => {
    const page = await open();
    await logIn(page, "jihye", "wrong");
    await page.locator("#login-error", { hasText: "The name or the password is wrong" }).waitFor();
    await picture(page, "login-wrong");
    equal(await page.evaluate(() => [document.activeElement.name, getSelection().toString().length]), ["password", 5], "what the next key replaces");
    const korean = await open(KOREAN);
    await logIn(korean, "jihye", "wrong");
    await korean.locator("#login-error", { hasText: "이름이나 비밀번호가 틀렸거나 비활성 사용자입니다" }).waitFor();
    await picture(korean, "login-wrong-ko");
    await speaksKorean(korean);
    await isOpenToAll(korean, "the login with an error");
    await logIn(korean);
    await korean.locator("#home-view").waitFor();
    quiet(page, REFUSED);
    quiet(korean, REFUSED);
  });
}

async function tellOfHome() {
  await check("my desktops: pools that are open to me, and no other", async () => {
    const page = await enter("jihye");
    await card(page, "pools", "Writing & testing").waitFor();
    equal(await page.textContent("#who"), "김지혜", "who is logged in");
    equal(await page.locator("#pools h3").allTextContents(), ["설계 CAD", facts.hostile, "Writing & testing"], "the pools");
    await page.locator("#no-sessions", { hasText: "no desktop yet" }).waitFor();
    await picture(page, "home");
    await isOpenToAll(page, "my desktops");
    await speaksEnglish(page);
    quiet(page);
  });
  await check("names that are markup are read as they are", async () => {
    const page = await enter("mina");
    equal(await page.textContent("#who"), `Mina ${facts.hostile}`, "the person's name");
    await card(page, "sessions", "설계 CAD").waitFor();
    equal(await card(page, "pools", "own").or(page.locator("#pools li", { hasText: "<img" })).locator("h3").textContent(), facts.hostile, "the pool's title");
    equal(await page.locator("img:not(.brand img)").count(), 0, "the number of foreign pictures");
    quiet(page);
  });
  await check("a full pool says why, and what would help, until it is dismissed", async () => {
    const page = await enter("jihye");
    await card(page, "pools", "설계 CAD").getByRole("button").click();
    await noticed(page, 'Pool "full" is full: 1 of at most 1 desktops are held');
    await noticed(page, "someone leaves");
    await picture(page, "home-full");
    await isOpenToAll(page, "a full pool");
    // it outlives the page's own looking for news
    let looks = 0;
    page.on("response", (answer) => { looks += answer.url().includes("/sessions?"); });
    await until("the page looks for news", () => looks >= 2);
    await noticed(page, "is full");
    await page.getByRole("button", { name: "Dismiss" }).click();
    await page.locator("#notice").waitFor({ state: "hidden" });
    quiet(page, REFUSED);
  });
  await check("the same in Korean, chosen by the button, kept over a reload", async () => {
    const page = await enter("jihye");
    await page.getByRole("button", { name: "한국어" }).click();
    await page.getByRole("heading", { name: "내 데스크톱" }).waitFor();
    await card(page, "pools", "설계 CAD").getByRole("button", { name: "받기" }).click();
    await noticed(page, '풀 "full"이(가) 가득 찼습니다');
    await picture(page, "home-full-ko");
    await page.reload();
    await card(page, "pools", "설계 CAD").waitFor();
    await picture(page, "home-ko");
    await speaksKorean(page);
    quiet(page, REFUSED);
  });
  await check("dark, and as narrow as a phone", async () => {
    const dark = await enter("mina", { colorScheme: "dark" });
    await card(dark, "sessions", "설계 CAD").waitFor();
    await isOpenToAll(dark, "my desktops in the dark");
    await picture(dark, "home-dark");
    const phone = await enter("mina", { ...PHONE, ...KOREAN });
    await card(phone, "sessions", "설계 CAD").waitFor();
    await isOpenToAll(phone, "my desktops on a phone");
    await picture(phone, "phone-home-ko");
    const small = await phone.locator("button:visible").evaluateAll((all) => all.filter((b) => b.getBoundingClientRect().height < 32).map((b) => b.id));
    equal(small.filter((id) => id !== "dismiss"), [], "buttons that a finger misses");
    const darkLogin = await open({ colorScheme: "dark", ...PHONE });
    await isOpenToAll(darkLogin, "the login, dark, on a phone");
    await picture(darkLogin, "phone-login-dark");
  });
}

async function tellOfKeyboard() {
  await check("by keyboard alone: log in, keep the focus while news comes in, ask, end, think again, log out", async () => {
    const page = await open();
    await page.keyboard.type("mina");
    await page.keyboard.press("Tab");
    await page.keyboard.type("mina-password");
    await page.keyboard.press("Enter");
    await card(page, "sessions", "설계 CAD").waitFor();
    const held = () => page.evaluate(() => document.activeElement.dataset.key || document.activeElement.id || document.activeElement.className);
    const end = `end ${(await sessionOf("mina", "full")).id}`;
    await until("Tab comes to the session's button", async () => { await page.keyboard.press("Tab"); return (await held()) === end; });
    // news: another session of hers, and it is drawn without taking the focus away
    const news = await sarang("session", "request", "own", "--user=mina");
    await card(page, "sessions", facts.hostile).waitFor();
    equal(await held(), end, "the focus after news");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").filter({ hasText: "wiped for the next person" }).waitFor();
    await isOpenToAll(page, "the question");
    await picture(page, "end");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    equal((await sessionOf("mina", "full"))?.id, end.split(" ")[1], "her session");
    equal(await held(), end, "the focus after the question");
    const own = `end ${news.id}`;
    await until("Tab comes to the other's button", async () => { await page.keyboard.press("Tab"); return (await held()) === own; });
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").filter({ hasText: "stay yours" }).waitFor();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await until("the session ends", async () => !(await sessionOf("mina", "own")));
    await until("Tab comes to the way out", async () => { await page.keyboard.press("Shift+Tab"); return (await held()) === "logout"; });
    await page.keyboard.press("Enter");
    await page.locator("#login-view").waitFor();
    quiet(page);
  });
}

async function tellOfLeaving() {
  await check("who logs out is out, in this window and the next", async () => {
    const page = await open();
    await logIn(page);
    await page.locator("#home-view").waitFor();
    const other = await openIn(page.context());
    await other.locator("#home-view").waitFor();
    await page.getByRole("button", { name: "Log out" }).click();
    await page.locator("#login-view").waitFor();
    equal((await page.request.get(`${facts.page}/api/v1/me`)).status(), 401, "the answer to who I am");
    await noticed(other, "You have been logged out.");
    await other.locator("#login-view").waitFor();
    await page.reload();
    await page.locator("#login-view").waitFor();
    quiet(page);
    quiet(other, REFUSED);
  });
  await check("the gateway is killed: the page says so, and goes on when it is back", async () => {
    const page = await enter("jihye");
    await stopGateway();
    await page.locator("#offline", { hasText: "cannot be reached just now" }).waitFor();
    await picture(page, "home-offline");
    await startGateway();
    await page.locator("#offline").waitFor({ state: "hidden" });
    await card(page, "pools", "Writing").waitFor();
    quiet(page, GONE);
  });
  await check("a link to a session that is not mine, or never was, is refused in words", async () => {
    const page = await enter("jihye");
    const session = await sessionOf("mina", "full");
    await page.goto(`${facts.page}/#/session/${session.id}`);
    await curtain(page, `There is no session "${session.id}"`);
    await picture(page, "refused");
    await page.getByRole("button", { name: "Desktops" }).click();
    await page.locator("#home-view").waitFor();
    quiet(page, /status of 404/);
  });
}

export async function tellOfPage() {
  await tellOfLogin();
  await tellOfHome();
  await tellOfKeyboard();
  await tellOfLeaving();
}
