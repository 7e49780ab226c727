#!/usr/bin/env -S deno run --no-prompt --allow-net
/**
 * Shows where the time goes on the way to a web server: resolve its name,
 * connect, shake hands over TLS, wait for the first byte of a page's head.
 *
 *     deno run --allow-net scripts/google_connect.ts
 *     deno run --allow-net scripts/google_connect.ts --tls example.com
 *
 * @module
 */
import { type NetAddress, parseAddress } from "../lib/address.ts";
import { log, runCommand } from "../lib/command/command.ts";
import { duration, option, toggle } from "../lib/command/options.ts";
import { refuse, usage } from "../lib/command/options.ts";
import { print } from "../lib/command/output.ts";
import { drawProbe, probe, type WebTarget } from "../lib/probe.ts";
import { safeJson } from "../lib/text.ts";

const OPTIONS = {
  tls: toggle("shake hands over TLS, on port 443 if none is given"),
  path: option("PATH", "which page's head to ask for (/)", String),
  all: toggle("try each address in turn"),
  timeout: option("DURATION", "for all of it (10s)", duration, 10_000),
  // Every command has it; this one has a report to write, too.
  json: toggle("write the report and the log as JSON"),
};

await runCommand({
  name: "google_connect",
  summary: "Shows where the time goes on the way to a web server.",
  positionals: "[HOST[:PORT]=www.google.com:80]",
  options: OPTIONS,
  headings: { tls: "The page", all: "The way", json: "The report" },
  epilogue: `
Steps:      resolve     look into the hosts file, or ask DNS
            connect     try the addresses, the next one 250 ms after the last
            tls         shake hands and verify the certificate (--tls)
            first byte  ask for the head of the page and wait
JSON:       one object on standard output, also of a failure
Hosts:      example.com example.com:8080 tls://example.com 127.0.0.1:80 [::1]:80
            https://example.com/page

Permission: --allow-net=HOST:PORT: the system resolves the name; NAMESERVER:53
            too asks DNS, and ADDRESS:PORT for each tries the addresses
Examples:
  deno run --allow-net=www.google.com:80 scripts/google_connect.ts
  deno run --allow-net scripts/google_connect.ts --tls example.com
  deno run --allow-net scripts/google_connect.ts --all --json --timeout 5s
`,
  async run({ options, positionals: [place = "www.google.com"] }) {
    const target = usage(() => targetOf(place, options));
    const tell = (step: string) => log.debug("step", step);
    const found = await probe(target, options, tell);
    const drawing = options.all || !found.error ? drawProbe(found) : "";
    const report = options.json ? `${safeJson(found)}\n` : drawing;
    await print(new TextEncoder().encode(report));
    if (found.error) throw new Error(found.error.message);
  },
});

/** Reads `HOST[:PORT]` or the address of a page. */
function targetOf(place: string, options: Partial<WebTarget>): WebTarget {
  const url = /^https?:\/\//i.test(place) ? URL.parse(place) : undefined;
  refuse({ [`"${place}" is no page's address`]: url === null });
  const tls = options.tls || /^(tls|https):/i.test(place);
  const port = tls ? 443 : 80;
  const address = parseAddress(url?.host ?? place, { port }) as NetAddress;
  const path = options.path ?? (url ? url.pathname + url.search : "/");
  const isTcp = /^(tcp|tls)$/.test(address.transport);
  refuse({
    [`a web server is reached over TCP, not ${place}`]: !isTcp,
    "port 0 is only for listening": address.port === 0,
    [`--path must start with / and have neither spaces nor letters beyond ASCII (write them as %20), not ${path}`]:
      !/^\/[!-~]*$/.test(path),
  });
  return { ...address, transport: "tcp", tls, path };
}
