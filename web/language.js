// Which of the two languages the page speaks: the person's choice, else the browser's.
import { words } from "./words.js";

const TAGS = ["en", "ko"];
const chosen = () => TAGS.indexOf(localStorage.getItem("language"));
let language = chosen() >= 0 ? chosen() : Number(navigator.language.startsWith("ko"));

export const tag = () => TAGS[language];
export const t = (key) => words[key][language];
// The text of a key, or of another one where there is none.
export const tOr = (key, other) => t(key in words ? key : other);

export function translate() {
  document.documentElement.lang = tag();
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", t(node.dataset.label));
  for (const node of document.querySelectorAll(".language")) node.lang = TAGS[1 - language];
}

export function speakOther() {
  language = 1 - language;
  localStorage.setItem("language", tag());
  translate();
}
