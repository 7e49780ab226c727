#!/usr/bin/env -S deno run --no-prompt --allow-net
/**
 * Shows where the time goes on the way to a web server: resolve its name,
 * connect, shake hands over TLS, wait for the first byte of a page's head.
 *
 *     deno run --allow-net scripts/google_connect.ts
 *     deno run --allow-net scripts/google_connect.ts --tls example.com
 *
 * The report is the payload and goes to standard output; a fault is one line
 * on standard error that names the step, and exit code 1.
 *
 * What Deno has to be allowed to do:
 *
 * - `--allow-net=HOST:PORT` is enough: the connection is made by name. The
 *   system resolves it, which cannot be timed apart from connecting, and
 *   chooses among its addresses, so `--all` has but one.
 * - With `NAMESERVER:53` as well, for each name server of the system, DNS is
 *   asked: its addresses are shown and `resolve` has a bar of its own.
 * - With `ADDRESS:PORT` as well, those addresses are connected to, the next one
 *   if one does not answer at once, and `--all` tries each of them.
 * - `--allow-net` alone is all of that.
 *
 * @module
 */
import { formatAddress, parseAddress } from "../lib/address.ts";
import * as cli from "../lib/cli.ts";
import { option, toggle } from "../lib/cli.ts";
import { Deadline } from "../lib/deadline.ts";
import { findHosts, type Hosts } from "../lib/hosts.ts";
import { Output } from "../lib/output.ts";
import { type Probe, probe, type Target } from "../lib/probe.ts";
import {
  drawReport,
  type Report,
  reportOnEach,
  reportOnOne,
} from "../lib/probe_report.ts";
import { Stopwatch } from "../lib/steps.ts";
import { safeJson } from "../lib/text.ts";

const OPTIONS = {
  tls: toggle("shake hands over TLS, on port 443 if none is given"),
  path: option("PATH", "which page's head to ask for (/)", pagePath, "/"),
  all: toggle("try each address in turn"),
  timeout: option("DURATION", "for all of it (10s)", cli.duration, 10_000),
  // Every command has it; this one has a report to write, too.
  json: toggle("write the report and the log as JSON"),
};

type Options = cli.Values<typeof OPTIONS>;

/** The command, as its help and its tests know it. */
export const command: cli.Command<typeof OPTIONS> = {
  name: "google_connect",
  summary: "Shows where the time goes on the way to a web server.",
  positionals: "[HOST[:PORT]=www.google.com:80]",
  most: 1,
  options: OPTIONS,
  headings: { tls: "The page", all: "The way", json: "The report" },
  epilogue: `
Steps:      resolve     ask DNS for the addresses of the name
            connect     try them, the next one 250 ms after the last
            tls         shake hands and verify the certificate (--tls)
            first byte  ask for the head of the page and wait
JSON:       one object on standard output, also of a failure
Hosts:      example.com example.com:8080 tls://example.com 127.0.0.1:80 [::1]:80

Permission: --allow-net=HOST:PORT and the system resolves the name; with
            NAMESERVER:53 too DNS is asked, with ADDRESS:PORT each is tried
Examples:
  deno run --allow-net=www.google.com:80 scripts/google_connect.ts
  deno run --allow-net scripts/google_connect.ts --tls example.com
  deno run --allow-net scripts/google_connect.ts --all --json --timeout 5s
`,
  async run({ options, positionals: [place = "www.google.com"], log }) {
    const target = cli.usage(() => targetOf(place, options));
    using deadline = new Deadline(options.timeout);
    const { signal } = deadline;
    const stopwatch = new Stopwatch((step) => log.debug("step", `${step} ...`));
    // DNS gets half of the time, so that there is some for the system's way.
    const dns = { signal, timeout: options.timeout / 2 };
    const { hostname, port } = target;
    const hosts = await findHosts(hostname, port, stopwatch, dns);
    const names = hosts.hostnames.join(", ");
    log.debug("hosts", `connecting to ${names}`, { resolver: hosts.resolver });
    const report = options.all
      ? reportOnEach(
        target,
        hosts,
        stopwatch.steps,
        await probeEach(target, hosts, deadline),
      )
      : reportOnOne(
        target,
        hosts,
        await probe(target, hosts.hostnames, {
          ...{ signal, stopwatch, dnsError: hosts.error },
        }),
      );
    await print(report, options);
    if (report.error !== undefined) throw new Error(report.error.message);
  },
};

/** Every address has its share of the time, however long the others take. */
async function probeEach(
  target: Target,
  { hostnames, error: dnsError }: Hosts,
  deadline: Deadline,
): Promise<Probe[]> {
  const probes: Probe[] = [];
  for (const hostname of hostnames) {
    const left = hostnames.length - probes.length;
    using share = new Deadline(deadline.remaining / left, deadline.signal);
    const { signal } = share;
    probes.push(await probe(target, [hostname], { signal, dnsError }));
  }
  return probes;
}

/** A failure is told in one line; its report is for programs, and `--all`. */
async function print(report: Report, { json, all }: Options): Promise<void> {
  const output = new Output();
  if (json) await output.text(`${safeJson(report)}\n`);
  else if (all || report.error === undefined) {
    await output.text(drawReport(report));
  }
}

function targetOf(place: string, options: Options): Target {
  const tls = options.tls || /^tls:/i.test(place);
  const address = parseAddress(place, { port: tls ? 443 : 80 });
  if (address.transport === "unix" || address.transport === "udp") {
    const given = formatAddress(address);
    throw new cli.UsageError(`a web server is reached over TCP, not ${given}`);
  }
  cli.refuse({ "port 0 is only for listening": address.port === 0 });
  const { hostname, port } = address;
  return { hostname, port, tls, path: options.path };
}

function pagePath(value: string): string {
  if (/^\/[!-~]*$/.test(value)) return value;
  throw new cli.UsageError(
    `must start with / and have neither spaces nor letters beyond ASCII (write them as %20), not ${value}`,
  );
}

if (import.meta.main) Deno.exitCode = await cli.runCommand(command, Deno.args);
