/**
 * A headless Chromium, for what a person sees in a browser.
 *
 * @module
 */
import type { Browser, Page } from "playwright-core";
import { DEADLINE } from "./helpers.ts";

/** A browser with one page, which is closed with it. */
export class Browsing implements AsyncDisposable {
  readonly page: Page;
  readonly #browser: Browser;

  private constructor(browser: Browser, page: Page) {
    this.#browser = browser;
    this.page = page;
  }

  static async open(url: string): Promise<Browsing> {
    const { chromium } = await import("playwright-core");
    const browser = await chromium.launch({
      executablePath: "/usr/bin/chromium",
      args: ["--no-sandbox"], // which root cannot have
      timeout: 2 * DEADLINE,
    });
    const page = await browser.newPage();
    page.setDefaultTimeout(2 * DEADLINE);
    await page.goto(url);
    return new Browsing(browser, page);
  }

  /** Waits until the page has so many elements that hold this text. */
  async sees(selector: string, hasText: string | RegExp, count = 1) {
    const found = this.page.locator(selector, { hasText });
    await found.nth(count - 1).waitFor({ state: "attached" });
    return found;
  }

  /** The text of each element. */
  texts(selector: string): Promise<string[]> {
    return this.page.locator(selector).allTextContents();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
  }
}
