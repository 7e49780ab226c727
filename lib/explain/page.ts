// Importing this module shows a program's sockets in the browser: a picture that
// grows while the program runs. It works with any program:
//
//     deno run --allow-net --preload lib/explain/page.ts ANY.ts
import { permissionFor } from "../address.ts";
import { describeError } from "../tcp/errors.ts";
import { pause } from "../tcp/stream.ts";
import html from "./page.html" with { type: "text" };
import { keyboard } from "./typing.ts";
import { onStep, type SocketStep } from "./watch.ts";

/** Steps that are kept, that a page gets at a time, and bytes kept of each. */
const KEPT_STEPS = 2000;
const STEPS_AT_A_TIME = 200;
const KEPT_BYTES = 1024;
/** How long the end of the program waits for a page, in milliseconds. */
const FAREWELL = 2000;

const LOOPBACK = { hostname: "127.0.0.1", port: 0 };
const token = crypto.getRandomValues(new Uint8Array(16)).toHex();
const steps: (SocketStep & { length?: number })[] = [];
/** When each page that is open was last answered, by its own name for itself. */
const answered = new Map<string, number>();
let count = 0;
let underWay = 0; // answers
let isEnding = false;
let change = Promise.withResolvers<void>();

function wake(): void {
  change.resolve();
  change = Promise.withResolvers();
}

keyboard.onPlugged = wake;
onStep((step) => {
  const { length } = step.bytes ?? {};
  const bytes = step.bytes &&
    new Uint8Array(step.bytes.subarray(0, KEPT_BYTES));
  steps.push({ ...step, bytes, length });
  if (++count > KEPT_STEPS) steps.shift();
  wake();
});

/** Waits for steps beyond those that a page has, and gives some of them. */
async function newsFor(id: string, has: number) {
  answered.delete(id);
  if (has === count && !isEnding) await change.promise;
  const lost = count - steps.length;
  const first = Math.max(has, lost);
  const some = steps.slice(first - lost).slice(0, STEPS_AT_A_TIME)
    .map((step) => ({ ...step, bytes: step.bytes?.toBase64() }));
  const hasEnded = isEnding && first + some.length === count;
  if (!hasEnded) answered.set(id, performance.now());
  const program = Deno.mainModule.replace(/.*\//, "");
  const canType = keyboard.type !== undefined;
  return { program, canType, hasEnded, first, steps: some };
}

/** What is answered: the status, the text, and of what type it is. */
type Answer = [number, string?, string?];

/** Types a line; says why it is not sent, if it is not. */
function typeLine(line: string): Answer {
  const reason = /(?!\t)\p{Cc}/u.test(line)
    ? "it holds control characters"
    : keyboard.type?.(line) ?? "there is no chat";
  return [reason ? 409 : 200, reason];
}

/** Answers none but the page that this server has given out. */
async function replyTo(request: Request, nonce: string): Promise<Answer> {
  const { method, headers } = request;
  const origin = headers.get("origin") ?? (method === "GET" ? place : "");
  const isOurs = `http://${headers.get("host")}` === place;
  if (!isOurs || origin !== place) return [403];
  const { pathname, searchParams } = new URL(request.url);
  const { line = "", id = "", has } = Object.fromEntries(searchParams);
  switch (`${method} ${pathname}`) {
    case `GET /${token}/`:
      return [200, html.replaceAll("{nonce}", nonce), "text/html"];
    case `GET /${token}/steps`: {
      const news = await newsFor(id, Number(has));
      return [200, JSON.stringify(news), "application/json"];
    }
    case `POST /${token}/type`:
      return typeLine(line);
  }
  return [404];
}

/** No other page can make use of a response, and nothing else is loaded. */
async function respond(request: Request, { completed }: Deno.ServeHandlerInfo) {
  underWay++;
  completed.catch(() => {}).finally(() => underWay--);
  const nonce = crypto.randomUUID();
  const [status, text, type = "text/plain"] = await replyTo(request, nonce);
  const headers = {
    "content-type": `${type}; charset=utf-8`,
    "content-security-policy": "default-src 'none'; connect-src 'self'; " +
      `style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; ` +
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
  };
  return new Response(text, { status, headers });
}

function openServer() {
  try {
    const server = Deno.serve({ ...LOOPBACK, onListen() {} }, respond);
    server.unref();
    if (server.addr.hostname === LOOPBACK.hostname) return server;
    throw new Error("DENO_SERVE_ADDRESS puts it elsewhere; unset that");
  } catch (error) {
    const permission = permissionFor({ transport: "tcp", ...LOOPBACK });
    const attempt = "show the page on 127.0.0.1:0";
    // With --preload nobody catches it, and Deno would print the stack.
    throw Object.assign(describeError(error, attempt, permission), {
      stack: "",
    });
  }
}

const place = `http://127.0.0.1:${openServer().addr.port}`;
console.error(`See the sockets at ${place}/${token}/`);

/** Disposed of at the end of the program: then each open page learns of it. */
export const page: AsyncDisposable = {
  async [Symbol.asyncDispose]() {
    isEnding = true;
    wake();
    const end = performance.now() + FAREWELL;
    const isOpen = (time: number) => performance.now() < time + FAREWELL;
    while (performance.now() < end) {
      if (underWay === 0 && ![...answered.values()].some(isOpen)) break;
      await pause(10);
    }
  },
};

addEventListener("beforeunload", (event) => {
  if (isEnding) return;
  event.preventDefault(); // goes on until it is done
  page[Symbol.asyncDispose]();
});
