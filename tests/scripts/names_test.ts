/** Names: looked up once, in the version of IP that fits, and never in the way of a signal. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { Folder } from "../support/folder.ts";
import { installed, Running, SCRIPTS } from "../support/helpers.ts";
import { inNetworks } from "../support/small_network.ts";

const NAME_SERVER =
  new URL("../support/python/name_server.py", import.meta.url).pathname;
const NETWORKS = {
  ...inNetworks,
  ignore: inNetworks.ignore || !installed("python3", "--version"),
};
const HOSTS = `::1 localhost six
127.0.0.1 localhost
127.0.0.3 two
127.0.0.2 two
`;

/** Runs shell commands in a network of their own, with these hosts. */
function inNetwork(folder: Folder, commands: string[]): Running {
  const [hosts, names] = [`${folder.path}/hosts`, `${folder.path}/names`];
  Deno.writeTextFileSync(hosts, HOSTS);
  Deno.writeTextFileSync(names, "nameserver 127.0.0.1\n");
  const setup = [
    `mount --bind ${hosts} /etc/hosts`,
    `mount --bind ${names} /etc/resolv.conf`,
    "ip link set lo up",
  ];
  const line = [...setup, ...commands].join(" && ");
  return new Running("unshare", ["--net", "--mount", "sh", "-c", line]);
}

/** Asks on 127.0.0.1; what follows begins when somebody is there to answer. */
function withNameServer(...args: string[]): string {
  const server = `python3 ${NAME_SERVER} ${args.join(" ")}`;
  return `{ ${server} & } && while ! ss -lun | grep -q :53; do sleep .1; done`;
}

function deno(script: string, flags = "--allow-net"): string {
  return `${Deno.execPath()} run --quiet --no-prompt ${flags} --unstable-net ${SCRIPTS}/${script}`;
}

for (
  const [to, args, at] of [
    ["localhost:8080", "", "127.0.0.1:8080"],
    ["localhost:8080", "", "localhost:8080"],
    ["localhost:8080", "--bind '[::1]:0'", "'[::1]:8080'"],
    ["six:8080", "", "'[::1]:8080'"],
    ["six:8080", "--bind '[::]:0'", "six:8080"],
    ["two:8080", "--bind 127.0.0.1:0", "two:8080"],
    ["localhost:8080", "--bind localhost", "127.0.0.1:8080"],
    ["localhost:8080", "--bind six", "'[::1]:8080'"],
    ["six:8080", "--bind localhost", "'[::1]:8080'"],
    ["'[::1]:8080'", "--bind localhost", "'[::1]:8080'"],
  ]
) {
  Deno.test(
    `udp_sender.ts reaches ${at} as ${to} when ::1 is the first localhost ${args}`,
    {
      ...NETWORKS,
    },
    async () => {
      using folder = new Folder();
      const series = `${to} hello --count 200 --interval 100ms -q ${args}`;
      await using running = inNetwork(folder, [
        `{ ${deno("udp_sender.ts")} ${series} & }`,
        `${deno("udp_receiver.ts")} ${at} --count 1 --timeout 15s`,
        "kill $!",
      ]);
      const { code, stdout, stderr } = await running.ended();
      assertEquals([code, stdout], [0, "hello"], stderr);
    },
  );
}

Deno.test("udp_sender.ts sends a series to one address of a name", {
  ...NETWORKS,
}, async () => {
  using folder = new Folder();
  const series = "two:8080 x --count 100 --interval 1ms";
  await using running = inNetwork(folder, [
    `{ ${deno("udp_receiver.ts")} 0.0.0.0:8080 --count 100 --json & }`,
    "while ! ss -lun | grep -q :8080; do sleep .1; done",
    `${deno("udp_sender.ts")} ${series}`,
    "wait",
  ]);
  const { code, stdout, stderr } = await running.ended();
  assertEquals([code, stdout], [0, "x".repeat(100)]);
  assertStringIncludes(stderr, "to udp://two:8080");
});

Deno.test(
  "udp_sender.ts says so when a name has no address of the version it is bound to",
  {
    ...NETWORKS,
  },
  async () => {
    using folder = new Folder();
    await using running = inNetwork(folder, [
      `${deno("udp_sender.ts")} two:8080 hello --bind '[::1]:0'`,
    ]);
    const { code, stderr } = await running.ended();
    assertEquals(code, 1);
    assertEquals(
      stderr,
      "udp_sender: Cannot send to udp://two:8080: the name has no address of IPv6\n",
    );
  },
);

Deno.test(
  "udp_sender.ts asks DNS once, for both versions, when it sends 100 datagrams",
  {
    ...NETWORKS,
  },
  async () => {
    using folder = new Folder();
    await using running = inNetwork(folder, [
      withNameServer("127.0.0.1"),
      `exec ${deno("udp_sender.ts")} sink.example:9 x --count 100`,
    ]);
    const { code, stderr } = await running.ended();
    assertEquals(code, 0, stderr);
    assertEquals(stderr.match(/asked/g)?.length, 2);
  },
);

for (
  const script of [
    "tcp_client.ts some.example:80 --no-stdin",
    "tcp_server.ts some.example:80",
    "udp_sender.ts some.example:80 hello",
    "udp_sender.ts 127.0.0.1:80 hello --bind some.example",
    "udp_receiver.ts some.example:80",
    "google_connect.ts some.example",
  ]
) {
  for (
    const [flags, signal] of [
      ["--allow-net", "SIGINT"],
      // By its name only: then Deno itself looks it up.
      ["--allow-net=some.example:80,0.0.0.0:0,127.0.0.1:53", "SIGTERM"],
    ] as const
  ) {
    if (flags !== "--allow-net" && script.includes("--bind")) continue;
    Deno.test(`${script} ends on ${signal} when DNS is silent, with ${flags}`, {
      ...NETWORKS,
    }, async () => {
      using folder = new Folder();
      await using running = inNetwork(folder, [
        withNameServer(),
        `exec ${deno(script, flags)}`,
      ]);
      await running.stderr("asked");
      const before = performance.now();
      running.process.kill(signal);
      await running.process.status;
      // What DNS takes to give up is 10 s and more.
      const elapsed = performance.now() - before;
      const most = script.startsWith("udp_sender") ? 4000 : 9000;
      assertEquals(elapsed < most, true, `after ${elapsed} ms`);
    });
  }
}
