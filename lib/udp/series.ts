/**
 * `seriesOf`: the datagrams that a sender sends; `paceOf`: when each is due.
 *
 * @module
 */
import { concatenate, pause, turn } from "../tcp/stream.ts";

/**
 * Gives the datagrams, each with room for a header: texts, `count`
 * times each, filled or cut to `size`; or, where nothing says what to send, lines
 * of input. `total` is how many there will be; 0 if nobody knows.
 */
export function seriesOf(
  { texts, count, size }: { texts: string[]; count?: number; size?: number },
  header: number,
  input: { readonly readable: AsyncIterable<Uint8Array> },
  limit: number,
): { total: number; datagrams: AsyncIterable<Uint8Array> } {
  if (texts.length === 0) {
    if ((count ?? size) === undefined) {
      return {
        total: 0,
        datagrams: lineDatagrams(input.readable, header, limit),
      };
    }
    [texts, size] = [[""], size ?? 64];
  }
  if (size !== undefined && size < header) {
    throw new RangeError(`--size must be ${header} or more with --number`);
  }
  const made = texts.map((text) =>
    datagramOf(new TextEncoder().encode(text), header, size)
  );
  const longest = Math.max(...made.map(({ length }) => length));
  if (longest > limit) {
    const version = limit === 65_507 ? "IPv4" : "IPv6";
    const most = `over ${version} it holds at most ${limit}`;
    throw new RangeError(`Cannot send a datagram of ${longest} bytes: ${most}`);
  }
  const total = (count ?? 1) * made.length;
  return { total, datagrams: repeated(made, total) };
}

const FILLING = "abcdefghijklmnopqrstuvwxyz0123456789";

function datagramOf(message: Uint8Array, header: number, size?: number) {
  const datagram = new Uint8Array(size ?? header + message.length);
  const body = datagram.subarray(header);
  for (let i = message.length; i < body.length; i++) {
    body[i] = FILLING.charCodeAt(i % FILLING.length);
  }
  body.set(message.subarray(0, body.length));
  return datagram;
}

async function* repeated(made: Uint8Array[], total: number) {
  for (let i = 0; i < total; i++) yield made[i % made.length];
}

async function* lineDatagrams(
  input: AsyncIterable<Uint8Array>,
  header: number,
  limit: number,
) {
  const most = limit - header;
  const fitting = (text: Uint8Array) => {
    const line = text.at(-1) === 0x0d ? text.subarray(0, -1) : text;
    if (line.length <= most) return line;
    throw new RangeError(
      `Cannot send a line of ${
        most + 1
      } bytes or more: a datagram holds at most ${most}`,
    );
  };
  let rest = new Uint8Array(0);
  for await (const chunk of input) {
    rest = concatenate([rest, chunk]);
    for (let end; (end = rest.indexOf(0x0a)) >= 0;) {
      yield datagramOf(fitting(rest.subarray(0, end)), header);
      rest = rest.subarray(end + 1);
    }
    fitting(rest); // or it would grow without end
  }
  if (rest.length > 0) yield datagramOf(fitting(rest), header);
}

/** A timer of Deno's is late by up to this, in milliseconds. */
const TIMER_DELAY = 2.5;
/** How many datagrams at full speed before signals and answers are heard. */
const SENT_IN_A_ROW = 32;

/**
 * Gives a function that waits for the next turn at an even pace; an aborted
 * signal ends the wait. Each turn has its time on a schedule, so no delay adds
 * up. What is late is caught up with, a quarter of the interval apart.
 */
export function paceOf(
  interval: number,
  signal: AbortSignal,
): () => Promise<void> {
  const never = new Int32Array(new SharedArrayBuffer(4));
  const start = performance.now();
  let [turns, last] = [0, -Infinity];
  return async () => {
    const due = start + interval * turns++;
    if (interval === 0) {
      if (turns % SENT_IN_A_ROW === 0) await turn();
      return;
    }
    const at = Math.max(due, last + interval / 4);
    const left = () => at - performance.now();
    if (left() > TIMER_DELAY) await pause(left() - TIMER_DELAY, signal);
    // This sleeps as long as it should, but so does everything else.
    while (left() > 0 && !signal.aborted) {
      Atomics.wait(never, 0, 0, Math.min(left(), 1));
      await turn();
    }
    last = performance.now();
  };
}
