/** Datagrams that are all different, for an echo that remembers what it answered. */
import { assert } from "@std/assert";
import { bytes } from "../support/bytes.ts";
import { within } from "../support/helpers.ts";
import { redirected } from "../support/processes.ts";
import { needs } from "../support/system.ts";
import { report, Server, short } from "./support.ts";

const DATAGRAMS = 200_000;
/** How many are under way at a time: no buffer is too small for them. */
const AT_ONCE = 50;
/** How much more memory they may take than as many before them, in MiB. */
const MOST = 20;

Deno.test(
  "udp_receiver.ts --echo does not grow when it answers 200,000 different datagrams",
  {
    ...needs("linux", "bash"),
  },
  async () => {
    const args = ["127.0.0.1:0", "--echo"];
    const running = redirected("> /dev/null", "udp_receiver.ts", args);
    await using receiver = new Server(running, await running.port());
    const { port } = receiver;
    const loopback = { transport: "udp", hostname: "127.0.0.1" } as const;
    const socket = Deno.listenDatagram({ ...loopback, port: 0 });
    let number = 0;
    const buffer = new Uint8Array(1024);
    const round = async () => {
      for (let i = 0; i < AT_ONCE; i++) {
        const payload = new Uint8Array(100);
        payload.set(bytes(`datagram ${number++}`));
        await socket.send(payload, { ...loopback, port });
      }
      for (let i = 0; i < AT_ONCE; i++) await socket.receive(buffer);
    };
    const ask = async () => {
      for (const end = number + DATAGRAMS; number < end;) await within(round());
    };
    try {
      // The same once before: its memory takes some time to settle.
      await ask();
      const before = await receiver.memory();
      await ask();
      const growth = await receiver.memory() - before;
      report(
        `${DATAGRAMS} answers to different datagrams, twice`,
        `${short(before)} MiB, then ${short(growth)} more`,
      );
      assert(growth < MOST, `${growth} MiB more`);
    } finally {
      socket.close();
    }
  },
);
