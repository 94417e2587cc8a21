// node stories.mjs [WORD...] < facts: all stories, or those with one of these words in their title.
import { close, startGateway } from "./house.mjs";
import { tellOfWords } from "./words.mjs";
import { tellOfPage } from "./page.mjs";
import { tellOfConsole } from "./console.mjs";

await startGateway();
try {
  await tellOfWords();
  await tellOfPage();
  await tellOfConsole();
} finally {
  await close();
}
