// Asks Sarang, by the same API as the command line.
import { t, tag } from "./language.js";

// As a sentence of its own; a command at its end stays as it is typed.
const sentence = (text) => text && text[0].toUpperCase() + text.slice(1) + (/[.!?…]$|: sarang /.test(text) ? "" : ".");

// A "no" of Sarang's: what, and what to do about it, in the person's language.
export class Refusal extends Error {
  constructor(status, problem) {
    super(sentence(problem.detail) || t("refused"));
    this.status = status;
    this.code = problem.code;
    this.fix = sentence(problem.fix);
  }
}

// The answer's object; a Refusal, or a TypeError where nobody answers.
export async function ask(method, path, body) {
  const answer = await fetch(`/api/v1${path}`, {
    method,
    headers: { "X-Sarang-CSRF": "1", "Accept-Language": tag(), ...(body && { "Content-Type": "application/json" }) },
    body: body && JSON.stringify(body),
    credentials: "same-origin",
    redirect: "error",
  });
  const json = answer.status === 204 ? null : await answer.json().catch(() => ({}));
  if (answer.status === 502 || answer.status === 504) throw new TypeError("the gateway does not reach the controller");
  if (!answer.ok) throw new Refusal(answer.status, json);
  return json;
}

// All objects of a list, page by page.
export async function askAll(path, wanted = {}) {
  const items = [];
  for (let after; ;) {
    const page = await ask("GET", `${path}?${new URLSearchParams({ ...wanted, limit: 1000, ...(after && { after }) })}`);
    items.push(...page.items);
    if (!page.next) return items;
    after = page.next;
  }
}
