/**
 * A network of a test's own, in a namespace that goes when its process does:
 * a loopback interface, name servers, web servers, routes and firewall rules.
 *
 * @module
 */
import { type Answers, startDnsServer } from "./dns_server.ts";
import {
  type Ended,
  installed,
  Running,
  type RunOptions,
  SCRIPTS,
} from "./helpers.ts";
import { has, needs } from "./system.ts";

/** What there is in the network, besides a loopback interface. */
export interface SmallNetwork {
  /** What the name server on 127.0.0.1 port 53 knows; none if not given. */
  zone?: Record<string, Answers>;
  /**
   * Addresses on whose port 80 a web server answers: 200, or 400 where the
   * `Host` header names the usual port.
   */
  web?: string[];
  /** Commands that set the network up, such as `ip route add ...`. */
  setup?: string[];
  /** The system's name server, if not 127.0.0.1. */
  nameServer?: string;
  /** Deno's permissions for the script. */
  permissions?: string[];
}

/** Whether a network can be made here: it takes root and these programs. */
export const canMakeNetworks: boolean = has("linux") && installed("ip", "-V") &&
  installed("nft", "-v") && installed("unshare", "--version") &&
  new Deno.Command("unshare", {
    args: ["--net", "--mount", "ip", "link", "set", "lo", "up"],
  }).outputSync().success;

/** Options of a test that takes place in such a network. */
export const inNetworks = { ...needs("linux"), ignore: !canMakeNetworks };

/** A network for several processes: a loopback interface, and nothing else. */
export class Namespace implements Disposable {
  readonly name = `test-${crypto.randomUUID().slice(0, 8)}`;

  constructor() {
    system("ip", "netns", "add", this.name);
    this.run("ip", "link", "set", "lo", "up");
  }

  /** Runs a command in it to its end; gives what it prints. */
  run(...command: string[]): string {
    return system("ip", "netns", "exec", this.name, ...command);
  }

  /** Drops what a rule of nftables matches, on its way in or out. */
  drop(hook: "input" | "output", rule: string): void {
    const chain = `{ type filter hook ${hook} priority 0 ; }`;
    this.run("nft", "add table inet faults");
    this.run("nft", `add chain inet faults ${hook} ${chain}`);
    this.run("nft", `add rule inet faults ${hook} ${rule} drop`);
  }

  /** Starts a command in it. */
  start(command: string[], options: RunOptions = {}): Running {
    const args = ["netns", "exec", this.name, ...command];
    return new Running("ip", args, options);
  }

  /** Starts a script of the collection in it. */
  script(name: string, ...args: string[]): Running {
    const deno = [Deno.execPath(), "run", "--quiet", "--no-prompt"];
    const script = ["--allow-net", "--unstable-net", `${SCRIPTS}/${name}`];
    return this.start([...deno, ...script, ...args]);
  }

  [Symbol.dispose](): void {
    system("ip", "netns", "del", this.name);
  }
}

function system(command: string, ...args: string[]): string {
  const { success, stdout, stderr } = new Deno.Command(command, { args })
    .outputSync();
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout);
  throw new Error(`${command} ${args.join(" ")}: ${decoder.decode(stderr)}`);
}

/**
 * Runs a script of the collection inside a small network, to its end.
 *
 * @param network What there is in it.
 * @param script The script's name.
 * @param args Its arguments.
 * @returns What it left behind.
 */
export async function runInNetwork(
  network: SmallNetwork,
  script: string,
  args: string[],
): Promise<Ended> {
  const { setup = [], nameServer = "127.0.0.1" } = network;
  const file = await Deno.makeTempFile({ prefix: "resolv_conf_" });
  try {
    await Deno.writeTextFile(file, `nameserver ${nameServer}\n`);
    const commands = [
      `mount --bind ${file} /etc/resolv.conf`,
      "ip link set lo up",
      ...setup,
      'exec "$0" "$@"',
    ];
    await using running = new Running("unshare", [
      ...["--net", "--mount", "sh", "-c", commands.join(" && ")],
      ...[Deno.execPath(), "run", "--quiet", "--allow-all", "--unstable-net"],
      new URL(import.meta.url).pathname,
      ...[JSON.stringify(network), `${SCRIPTS}/${script}`, ...args],
    ]);
    return await running.ended();
  } finally {
    await Deno.remove(file);
  }
}

/** Inside the network: servers first, then the script. */
async function main([description, script, ...args]: string[]) {
  const network: SmallNetwork = JSON.parse(description);
  const { zone, web = [], permissions = ["--allow-net"] } = network;
  if (zone !== undefined) startDnsServer(zone, 53);
  for (const hostname of web) {
    Deno.serve({ hostname, port: 80, onListen() {} }, (request) => {
      const plain = !request.headers.get("Host")?.includes(":80");
      return new Response("hi", { status: plain ? 200 : 400 });
    });
  }
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", ...permissions],
      ...[script, ...args],
    ],
  }).spawn().status;
  Deno.exit(code);
}

if (import.meta.main) await main(Deno.args);
