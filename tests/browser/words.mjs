// The page's texts as a table: every one in both languages, every one used, every state of the model named.
import { readFileSync, readdirSync } from "node:fs";
import { check, equal, require_ } from "./house.mjs";

const top = new URL("../../", import.meta.url);
const read = (path) => readFileSync(new URL(path, top), "utf8");
const { words } = await import(new URL("web/words.js", top));
const SAME_IN_BOTH = ["cad"];

function names(macro) {
  const body = read("core/model.h").match(new RegExp(`#define ${macro}\\(X\\)((?:.*\\\\\\n)*.*)`))[1];
  return [...body.matchAll(/X\(\w+, "([^"]+)"\)/g)].map((found) => found[1]);
}

function used() {
  const code = readdirSync(new URL("web/", top)).filter((name) => name.endsWith(".js") && name !== "words.js").map((name) => read(`web/${name}`)).join("\n");
  const keys = [...code.matchAll(/\bt(?:Or)?\("([^"]+)"/g), ...code.matchAll(/\btOr\([^,]+, "([^"]+)"/g),
    ...read("web/index.html").matchAll(/data-(?:t|label)="([^"]+)"/g)].map((found) => found[1]);
  const made = [...code.matchAll(/`([a-z]+)\.\$\{/g)].map((found) => found[1]);
  return { keys, made };
}

export async function tellOfWords() {
  await check("every text is there in English and in Korean", () => {
    for (const [key, texts] of Object.entries(words)) {
      equal(texts.length, 2, `the number of languages of ${key}`);
      require_(key === "other" || !/[가-힣]/.test(texts[0]), `the English of ${key} is "${texts[0]}"`);
      require_(key === "other" || SAME_IN_BOTH.includes(key) || /[가-힣]/.test(texts[1]), `the Korean of ${key} is "${texts[1]}"`);
    }
  });
  await check("every text that is asked for is known, and none is idle", () => {
    const { keys, made } = used();
    equal(keys.filter((key) => !(key in words)), [], "keys without text");
    const idle = Object.keys(words).filter((key) => !keys.includes(key) && !made.includes(key.split(".")[0]) && !["floating", "dedicated"].includes(key));
    equal(idle, [], "texts nobody asks for");
  });
  await check("every state and every end of a session has its words", () => {
    const wanted = [...names("SESSION_STATES").map((name) => `state.${name}`), ...names("END_REASONS").map((name) => `ended.${name}`),
      ...names("POOL_KINDS"), ...names("POOL_KINDS").map((name) => `end.${name}`)];
    require_(wanted.length > 18, `the model names only ${wanted}`);
    equal(wanted.filter((key) => !(key in words)), [], "states without words");
  });
}
