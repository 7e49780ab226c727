/**
 * A headless Chromium with one page, for the tests: `playwright-core` needs more
 * permissions than they have. Its argument is the page's address. Each line of
 * the input is a chain of calls, as JSON, that starts at the page; each line of
 * the output is what came of it.
 *
 * @module
 */
import { chromium } from "playwright-core";

/** Regular expressions are sent as `{ source, flags }`. */
function revive(_: string, value: { source?: string; flags?: string }) {
  const isRegExp = value?.source !== undefined;
  return isRegExp ? new RegExp(value.source!, value.flags) : value;
}

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox"], // which root cannot have
  timeout: 60_000,
});
const page = await browser.newPage();
page.setDefaultTimeout(60_000);
await page.goto(Deno.args[0]);

/** Saves what a click on this downloads; gives its text. */
async function download(selector: string): Promise<string> {
  const downloading = page.waitForEvent("download");
  await page.locator(selector).click();
  return await Deno.readTextFile(await (await downloading).path());
}

/** Follows a chain: a property, or a method with its arguments. */
async function follow(chain: [string, unknown[]?][]): Promise<unknown> {
  // deno-lint-ignore no-explicit-any
  let value: any = Object.assign(page, { download });
  for (const [name, args] of chain) {
    value = args ? await value[name](...args) : value[name];
  }
  return value;
}

/** Leaves nothing of a response or an element. */
function plain(value: unknown): unknown {
  return typeof value !== "object" || Array.isArray(value) ? value : null;
}

const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
let text = "";
for await (const piece of lines) {
  text += piece;
  for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
    const chain = JSON.parse(text.slice(0, end), revive);
    text = text.slice(end + 1);
    const result = await follow(chain)
      .then((value) => ({ value: plain(value) }), ({ message }) => ({
        error: message,
      }));
    console.log(JSON.stringify(result));
  }
}
await browser.close();
