/**
 * What it means when a step towards a web server fails, for a person who wants
 * to know which part of the network to look at.
 *
 * @module
 */
import { reasonFor } from "./failure.ts";
import { StatusLineError } from "./status_line.ts";
import { safeLine } from "./text.ts";

/** The steps, in their order; `resolve+connect` is the system doing both. */
export type StepName =
  | "resolve"
  | "connect"
  | "resolve+connect"
  | "tls"
  | "first byte";

/**
 * A step failed; the message says which one, where, and what it means. It is
 * safe for a terminal, whatever the peer has put into it.
 */
export class StepError extends Error {
  /** The step that failed. */
  readonly step: StepName;

  /**
   * Makes the error.
   *
   * @param step The step that failed.
   * @param where The address that it was tried with.
   * @param reason Why it failed and what that means.
   */
  constructor(step: StepName, where: string, reason: string) {
    super(safeLine(`Cannot ${ATTEMPTS[step]} ${where}: ${reason}`));
    this.name = "StepError";
    this.step = step;
  }
}

const ATTEMPTS: Record<StepName, string> = {
  "resolve": "resolve",
  "connect": "connect to",
  "resolve+connect": "resolve and connect to",
  "tls": "shake hands over TLS with",
  "first byte": "get a first byte of HTTP from",
};

const SILENCE: Record<StepName, string> = {
  "resolve":
    "no name server answers (no DNS); an address in place of the name needs none",
  "connect":
    "a black hole: a firewall drops the packets, or no machine has that address",
  "resolve+connect":
    "no name server answers, or a firewall drops the packets to the server",
  "tls":
    "the server takes the connection, but does not shake hands; does it speak TLS on this port?",
  "first byte":
    "the server takes the connection and stays silent; does it wait for TLS (--tls), or is it stuck?",
};

/** What rustls says, from the words in its message. */
const CERTIFICATES: [RegExp, string][] = [
  [
    /Expired/,
    "its certificate has expired; the server needs a new one, or this clock is wrong",
  ],
  [
    /UnknownIssuer/,
    "its certificate is self-signed, or signed by an authority that is not trusted here (something in between may have put it there); `deno run --cert FILE` trusts the one in FILE",
  ],
  [
    /CaUsedAsEndEntity/,
    "its certificate is an authority's own, as self-signed ones often are; a server needs one with basicConstraints=CA:FALSE",
  ],
  [
    /InvalidContentType|InvalidMessage/,
    "the server does not speak TLS on this port; leave --tls out, or try port 443",
  ],
];

/**
 * Says why a step failed and what that means.
 *
 * @param step The step.
 * @param error What was thrown.
 * @param permission The flag that Deno needs for it, if it does.
 * @returns The reason, without a period. A part of it may come from the peer.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   meaningOf("tls", new Deno.errors.UnexpectedEof()),
 *   "the server closed the connection in the handshake; does it speak TLS on this port?",
 * );
 * ```
 */
export function meaningOf(
  step: StepName,
  error: unknown,
  permission = "--allow-net",
): string {
  if (error instanceof Deno.errors.NotCapable) {
    return `Deno was not allowed to; it needs ${permission}`;
  }
  if (error instanceof StatusLineError) return error.message;
  if (error instanceof Deno.errors.TimedOut) {
    return `${error.message}: ${SILENCE[step]}`;
  }
  if (step !== "tls" || !(error instanceof Error)) return reasonFor(error);
  if (
    error instanceof Deno.errors.UnexpectedEof ||
    error instanceof Deno.errors.ConnectionReset
  ) {
    return "the server closed the connection in the handshake; does it speak TLS on this port?";
  }
  if (/not valid for name/.test(error.message)) {
    return `its certificate is for another name${namesIn(error.message)}`;
  }
  const known = CERTIFICATES.find(([words]) => words.test(error.message));
  return known?.[1] ?? reasonFor(error);
}

/** The names that a certificate is for, as rustls lists them. */
function namesIn(message: string): string {
  const quoted = message.slice(message.indexOf("only valid for"))
    .matchAll(/(?:DnsName\("([^"]+)"\)|IpAddress\(([^()]+)\))/g);
  const names = [...quoted].map(([, name, address]) => name ?? address);
  if (names.length === 0) return "";
  const more = names.length > 3 ? `, and ${names.length - 3} more` : "";
  return `: ${names.slice(0, 3).join(", ")}${more}`;
}
