/**
 * A headless Chromium, for what a person sees in a browser.
 *
 * @module
 */
import type { Page } from "playwright-core";
import { Running } from "./helpers.ts";

const CHILD = new URL("browser_child.ts", import.meta.url).pathname;

type Chain = [string, unknown[]?][];

/** A page, in a browser that is closed with it. */
export class Browsing implements AsyncDisposable {
  /** Playwright's page: a chain of calls is made when it is awaited. */
  readonly page: Page;
  #running: Running;
  #calls = 0;

  private constructor(running: Running) {
    this.#running = running;
    this.page = this.#chained([]) as Page;
  }

  static async open(url: string): Promise<Browsing> {
    const args = ["run", "--quiet", "--allow-all", CHILD, url];
    const running = new Running(Deno.execPath(), args, { input: "open" });
    const browsing = new Browsing(running);
    await browsing.page.title(); // it is there
    return browsing;
  }

  /** Waits until the page has so many elements that hold this text. */
  async sees(selector: string, hasText: string | RegExp, count = 1) {
    const found = this.page.locator(selector, { hasText });
    await found.nth(count - 1).waitFor({ state: "attached" });
  }

  /** The text of each element. */
  texts(selector: string): Promise<string[]> {
    return this.page.locator(selector).allTextContents();
  }

  /** The text of the file that a click on this downloads. */
  download(selector: string): Promise<string> {
    return this.#call([["download", [selector]]]) as Promise<string>;
  }

  #chained(chain: Chain): unknown {
    const then: Promise<unknown>["then"] = (...handlers) =>
      this.#call(chain).then(...handlers);
    return new Proxy(() => {}, {
      get: (_, name) =>
        name === "then"
          ? chain.at(-1)?.[1] && then
          : this.#chained([...chain, [String(name)]]),
      apply: (_, __, args) => {
        const [name] = chain.at(-1)!;
        return this.#chained([...chain.slice(0, -1), [name, args]]);
      },
    });
  }

  async #call(chain: Chain): Promise<unknown> {
    const send = (_: string, value: unknown) =>
      value instanceof RegExp
        ? { source: value.source, flags: value.flags }
        : value;
    const count = ++this.#calls;
    await this.#running.type(`${JSON.stringify(chain, send)}\n`);
    const all = await this.#running.stdout(RegExp(`^(.*\n){${count}}`));
    const { value, error } = JSON.parse(all.split("\n")[count - 1]);
    if (error !== undefined) throw new Error(error);
    return value;
  }

  /** Ends without a word, as a browser does that has crashed. */
  async kill(): Promise<void> {
    await this.#running[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using running = this.#running;
    await running.stdin!.close().catch(() => {});
    await running.ended();
  }
}
