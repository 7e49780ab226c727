// `seriesOf`: the datagrams that a sender sends; `paceOf`: when each is due.
import { concatenate, pause, type Reader, turn } from "../tcp/stream.ts";

/** Gives the datagrams: of `texts`, of made-up text, or of the input. */
export function seriesOf(
  texts: string[],
  { count, size, raw }: { count?: number; size?: number; raw?: boolean },
  header: number, // bytes left free at the start of each
  open: () => Reader | Promise<Reader>,
  version: number, // of IP
): { total: number; datagrams: AsyncIterable<Uint8Array> } {
  const limit = version === 6 ? 65_527 : 65_507; // 65,535 less their headers
  const isMadeUp = texts.length === 0 && !raw && (count ?? size) !== undefined;
  if (isMadeUp) [texts, size] = [[""], size ?? 64];

  function datagramOf(message: Uint8Array): Uint8Array {
    const length = size ?? header + message.length;
    if (length > limit) {
      throw new RangeError(
        `Cannot send a datagram of ${length} bytes: over IPv${version} it holds at most ${limit}`,
      );
    }
    const datagram = new Uint8Array(length);
    const body = datagram.subarray(header);
    body.set(message.subarray(0, body.length));
    for (let i = message.length; i < body.length; i++) body[i] = 97 + i % 26;
    return datagram;
  }

  const made = texts.map((text) => datagramOf(new TextEncoder().encode(text)));
  const total = (count ?? 1) * made.length; // 0 if not known

  async function* datagrams() {
    for (let i = 0; i < total; i++) yield made[i % made.length];
    if (total > 0) return;
    const input = await open();
    const buffer = new Uint8Array(limit - header);
    let rest = new Uint8Array(0);
    const upTo = (end: number) =>
      datagramOf(rest.subarray(0, rest[end - 1] === 0x0d ? end - 1 : end));
    for (let length; (length = await input.read(buffer)) !== null;) {
      const chunk = buffer.subarray(0, length);
      if (raw) yield datagramOf(chunk);
      else rest = concatenate([rest, chunk]);
      for (let end; (end = rest.indexOf(0x0a)) >= 0;) {
        yield upTo(end);
        rest = rest.subarray(end + 1);
      }
      if (rest.length > limit) datagramOf(rest); // or it would grow without end
    }
    if (rest.length > 0) yield upTo(rest.length);
  }

  return { total, datagrams: datagrams() };
}

/** Gives a function that waits for the next turn at an even pace. */
export function paceOf(interval: number, signal: AbortSignal) {
  const never = new Int32Array(new SharedArrayBuffer(4));
  let [turns, due, last] = [0, performance.now(), -Infinity];
  return async () => {
    // At full speed, signals and answers get in now and then.
    if (interval === 0 && turns++ % 32 > 0) return;
    await turn();
    // Delays do not add up: what is late follows, at four times the pace.
    const next = Math.max(due, last + interval / 4);
    due += interval;
    const left = () => next - performance.now();
    // Deno's timers are late by up to 2.5 ms, on Windows by 14.
    if (left() > 2.5) await pause(left() - 2.5, signal);
    // Exact to the microsecond, but it stops the process, for 4 ms at most.
    if (left() > 0 && !signal.aborted) Atomics.wait(never, 0, 0, left());
    last = performance.now();
  };
}
