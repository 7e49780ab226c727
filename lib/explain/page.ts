// Importing this module shows a program's sockets in the browser: a picture that
// grows while the program runs. It works with any program:
//
//     deno run --allow-net --preload lib/explain/page.ts ANY.ts
import { describeError } from "../tcp/errors.ts";
import { pause } from "../tcp/stream.ts";
import html from "./page.html" with { type: "text" };
import { stepListeners } from "./watch.ts";

/** Steps that are kept, that a page gets at a time, and bytes kept of each. */
const KEPT_STEPS = 2000;
const STEPS_AT_A_TIME = 200;
const KEPT_BYTES = 1024;

const token = crypto.getRandomValues(new Uint8Array(16)).toHex();
const steps: unknown[] = [];
let count = 0;
let [isSeen, hasEnded] = [false, false];
let change = Promise.withResolvers<void>();

function wake(): void {
  change.resolve();
  change = Promise.withResolvers();
}

/** Types a line into the chat; gives why it is not sent, if it is not. */
let keyboard: ((line: string) => string) | undefined;

/** Adds lines that are entered on the page to an input. */
function typeInto(input: AsyncIterator<Uint8Array, void>) {
  const read = input.next.bind(input);
  let isUsed = false;
  let entered: ReadableStreamDefaultController<Uint8Array>;
  const both = new ReadableStream({
    start: (controller) => void (entered = controller),
    async pull() {
      const { value } = await read();
      // Where there is no input at all, the page is the only keyboard.
      if (value) entered.enqueue(value);
      else if (isUsed) {
        keyboard = () => "the input has ended";
        entered.close();
      }
      isUsed ||= value !== undefined;
    },
  }, { highWaterMark: 0 }).getReader();
  input.next = () => both.read() as ReturnType<typeof read>;
  return (line: string) => {
    entered.enqueue(new TextEncoder().encode(line));
    return "";
  };
}

// A chat begins: its keyboard, or the input that is typed in its place.
addEventListener("keyboard", (event) => {
  const { detail } = event as CustomEvent;
  keyboard = typeof detail === "function" ? detail : typeInto(detail);
  wake();
});

stepListeners.push((step) => {
  const bytes = step.bytes?.subarray(0, KEPT_BYTES).toBase64();
  steps.push({ ...step, bytes, length: step.bytes?.length });
  if (++count > KEPT_STEPS) steps.shift();
  wake();
});

/** Waits for steps beyond those that a page has, and gives some of them. */
async function newsFor(has: number) {
  if (has === count && !hasEnded) await change.promise;
  const lost = count - steps.length;
  const first = Math.max(has, lost);
  const most = hasEnded ? KEPT_STEPS : STEPS_AT_A_TIME;
  const some = steps.slice(first - lost).slice(0, most);
  const program = Deno.mainModule.replace(/.*\//, "");
  const news = { program, canType: !!keyboard, hasEnded, first, steps: some };
  return JSON.stringify(news);
}

/** Answers only the page that this server has given out. */
async function respond({ url, method, headers }: Request) {
  const nonce = crypto.randomUUID();
  // No other page can make use of a response, and nothing else is loaded.
  const reply = (status: number, text = "", type = "text/plain") =>
    new Response(text, {
      status,
      headers: {
        "content-type": `${type}; charset=utf-8`,
        "content-security-policy": "default-src 'none'; connect-src 'self'; " +
          `style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; ` +
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "cache-control": "no-store",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
      },
    });
  const origin = headers.get("origin") ?? (method === "GET" ? place : "");
  const isOurs = `http://${headers.get("host")}` === place;
  const asked = URL.parse(url);
  if (!isOurs || origin !== place || !asked) return reply(403);
  isSeen = true;
  const { line = "", has } = Object.fromEntries(asked.searchParams);
  switch (`${method} ${asked.pathname}`) {
    case `GET /${token}/`:
      return reply(200, html.replaceAll("{nonce}", nonce), "text/html");
    case `GET /${token}/steps`:
      return reply(200, await newsFor(Number(has)), "application/json");
    case `POST /${token}/type`: {
      const reason = /(?!\t)\p{Cc}/u.test(line)
        ? "it holds control characters"
        : keyboard?.(line) ?? "there is no chat";
      return reply(reason ? 409 : 200, reason);
    }
  }
  return reply(404);
}

function openServer(): string {
  const hostname = "127.0.0.1";
  try {
    const server = Deno.serve({ hostname, port: 0, onListen() {} }, respond);
    server.unref();
    const { addr } = server;
    if (addr.hostname === hostname) return `http://${hostname}:${addr.port}`;
    throw new Error("DENO_SERVE_ADDRESS puts it elsewhere; unset that");
  } catch (error) {
    const attempt = `show the page on ${hostname}:0`;
    const told = describeError(error, attempt, `--allow-net=${hostname}:0`);
    // With --preload nobody catches it, and Deno would print the stack.
    throw Object.assign(told, { stack: "" });
  }
}

const place = openServer();
console.error(`See the sockets at ${place}/${token}/`);

/** Disposed of at the end of the program: open pages may fetch the rest. */
export const page: AsyncDisposable = {
  async [Symbol.asyncDispose]() {
    hasEnded = true;
    wake();
    if (isSeen) await pause(500);
  },
};

addEventListener("beforeunload", (event) => {
  if (hasEnded) return;
  event.preventDefault(); // goes on until it is done
  page[Symbol.asyncDispose]();
});
