/**
 * What a room costs that spans servers: lines a second with one local room,
 * then with one to four servers that share a nats-server; and how long after a
 * restart of NATS the first line comes through. Run by hand:
 *
 *     deno run --allow-all tests/bench/relay.ts [LINES [FOLDER]]
 *
 * On each server are fifty members, of whom one speaks; all of it is on this
 * machine, so every server more has less of it. In FOLDER is another state of
 * this collection, which is measured beside it, in turns.
 *
 * @module
 */
import { Running } from "../support/helpers.ts";
import { Member, NatsServer } from "../support/nats_server.ts";
import { writeAll } from "../support/sockets.ts";

const MEMBERS = 50;
const LINES = Number(Deno.args[0] ?? 200_000);
const HERE = new URL("../../", import.meta.url).pathname;
const FOLDERS: [string, string][] = [["", HERE]];
if (Deno.args[1]) FOLDERS.push([`, ${Deno.args[1]}`, Deno.args[1]]);
const TEXT = "a line of the length that people write in a chat room, mostly\n";
/** How long the last may wait before the rest counts as lost. */
const PATIENCE = 10_000;

/** Hears bytes, and counts them: cheaper than lines, so that it is no load. */
class Listener {
  conn: Deno.TcpConn;
  name = "";
  heard = 0;

  constructor(conn: Deno.TcpConn) {
    this.conn = conn;
    this.#listen();
  }

  async #listen(): Promise<void> {
    const buffer = new Uint8Array(262_144);
    for (;;) {
      const length = await this.conn.read(buffer).catch(() => null);
      if (length === null) return;
      this.heard += length;
      if (this.name) continue;
      const text = new TextDecoder().decode(buffer.subarray(0, length));
      this.name = /^\* you are (\S+),/.exec(text)![1];
    }
  }
}

const wait = (milliseconds: number) =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

async function measure(title: string, servers: Running[]): Promise<void> {
  const rooms: Listener[][] = [];
  for (const server of servers) {
    const room: Listener[] = [];
    const port = await server.port();
    for (let i = 0; i < MEMBERS; i++) {
      room.push(new Listener(await Deno.connect({ port })));
      await wait(2);
    }
    rooms.push(room);
  }
  await wait(1500); // for the announcements, which are not counted
  const all = rooms.flat();
  const speakers = rooms.map(([speaker]) => speaker);
  const each = Math.floor(LINES / speakers.length);
  const bytesOf = ({ name }: Listener) =>
    each * (name.length + 3 + TEXT.length);
  const total = speakers.reduce((sum, speaker) => sum + bytesOf(speaker), 0);
  const wanted = new Map(all.map((listener) => [
    listener,
    listener.heard + total -
    (speakers.includes(listener) ? bytesOf(listener) : 0),
  ]));
  const block = new TextEncoder().encode(TEXT.repeat(1000));
  const begin = performance.now();
  const said = Promise.all(speakers.map(async ({ conn }) => {
    for (let left = each; left > 0; left -= 1000) {
      const lines = block.subarray(0, Math.min(left, 1000) * TEXT.length);
      await writeAll(conn, lines);
    }
  }));
  let last = begin;
  let before = -1;
  while (all.some((listener) => listener.heard < wanted.get(listener)!)) {
    const now = all.reduce((sum, { heard }) => sum + heard, 0);
    if (now > before) last = performance.now();
    else if (performance.now() - last > PATIENCE) break;
    before = now;
    await wait(5);
  }
  const seconds = (performance.now() - begin) / 1000;
  const lost = all.some((listener) => listener.heard < wanted.get(listener)!);
  const rate = each * speakers.length / seconds;
  const heard = rate * (all.length - 1);
  console.log(
    [
      title.padEnd(24),
      `${all.length}`.padStart(7),
      Math.round(rate).toLocaleString("en").padStart(12),
      Math.round(heard).toLocaleString("en").padStart(14),
      lost ? "  LINES WERE LOST" : "",
    ].join(" "),
  );
  await said;
  for (const { conn } of all) conn.close();
}

/** Starts a room of a state of this collection. */
function openRoom(folder: string, nats?: NatsServer): Running {
  const script = `${folder}/scripts/tcp_server.ts`;
  const relay = nats ? ["--relay", `nats://127.0.0.1:${nats.port}`] : [];
  const args = ["run", "--quiet", "--no-prompt", "--allow-net", script];
  args.push("127.0.0.1:0", "--mode", "room", ...relay);
  return new Running(Deno.execPath(), args);
}

/** Kills NATS and starts it again; gives the time until a line comes through. */
async function measureRestart(folder: string): Promise<number> {
  await using nats = await NatsServer.start();
  await using one = openRoom(folder, nats);
  await using two = openRoom(folder, nats);
  using speaker = await Member.join(await one.port());
  using listener = await Member.join(await two.port());
  await speaker.note(`${listener.name} joined`);
  await nats.end();
  await listener.note("out of reach");
  await wait(1000 * Math.random());
  await nats.restart();
  const begin = performance.now();
  while (listener.total === 0) {
    await speaker.say(1);
    await wait(10);
  }
  return (performance.now() - begin) / 1000;
}

console.log("room                     members  said a sec.   heard a sec.");
for (const [title, folder] of FOLDERS) {
  await using server = openRoom(folder);
  await measure(`local${title}`, [server]);
}
for (let count = 1; count <= 4; count++) {
  for (const [title, folder] of FOLDERS) {
    await using nats = await NatsServer.start();
    await using stack = new AsyncDisposableStack();
    const servers = Array.from(
      { length: count },
      () => stack.use(openRoom(folder, nats)),
    );
    await measure(`${count} with --relay${title}`, servers);
  }
}
for (const [title, folder] of FOLDERS) {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) times.push(await measureRestart(folder));
  const told = times.map((time) => time.toFixed(2)).join(" ");
  console.log(`first line after a restart${title}, in seconds: ${told}`);
}
