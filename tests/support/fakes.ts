/**
 * What stands at the ends of a unit test: two connected sockets, someone who
 * types, a page that keeps what is written on it.
 *
 * @module
 */
import { concatenate } from "./bytes.ts";
import { bytes, text, within } from "./helpers.ts";
import { lines, type Readable, type Writable } from "./sockets.ts";

/** Two ends of one connection on 127.0.0.1; closing them twice does no harm. */
export class Pair implements Disposable {
  /** The end that the code under test has. */
  readonly ours: Deno.TcpConn;
  /** The end of its peer. */
  readonly theirs: Deno.TcpConn;
  /** The lines that the peer gets. */
  readonly lines: AsyncGenerator<Uint8Array, void>;

  constructor(ours: Deno.TcpConn, theirs: Deno.TcpConn) {
    this.ours = ours;
    this.theirs = theirs;
    this.lines = lines(theirs);
  }

  /** Waits for the next line that the peer gets; `undefined` at the end. */
  async line(): Promise<string | undefined> {
    const { value } = await within(this.lines.next());
    return value ? text(value) : undefined;
  }

  /** Lets the peer say something. */
  async say(words: string): Promise<void> {
    await this.theirs.write(bytes(words));
  }

  [Symbol.dispose](): void {
    this.ours[Symbol.dispose]();
    this.theirs[Symbol.dispose]();
  }
}

/** Connects two sockets. */
export async function pair(): Promise<Pair> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const [ours, theirs] = await Promise.all([
    listener.accept(),
    Deno.connect({ hostname: "127.0.0.1", port }),
  ]);
  return new Pair(ours, theirs);
}

/** Someone who types: a source that gives what it is given, piece by piece. */
export class Typist implements Readable {
  /** How often it was asked for more. */
  asked = 0;
  #pieces: Uint8Array[];
  #ended = false;
  #changed = Promise.withResolvers<void>();

  constructor(...pieces: string[]) {
    this.#pieces = pieces.map(bytes);
  }

  type(piece: string): void {
    this.#pieces.push(bytes(piece));
    this.#changed.resolve();
  }

  /** Types no more; for a source that is all there from the beginning, too. */
  end(): this {
    this.#ended = true;
    this.#changed.resolve();
    return this;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    this.asked++;
    while (this.#pieces.length === 0) {
      if (this.#ended) return null;
      this.#changed = Promise.withResolvers();
      await this.#changed.promise;
    }
    const piece = this.#pieces.shift()!;
    const length = Math.min(piece.length, buffer.length);
    buffer.set(piece.subarray(0, length));
    if (length < piece.length) this.#pieces.unshift(piece.subarray(length));
    return length;
  }
}

/** A page: keeps what is written on it, perhaps a few bytes at a time. */
export class Page implements Writable {
  /** All that was written. */
  text = "";
  /** What each write was given. */
  readonly writes: Uint8Array[] = [];
  #most: number;
  #changed = Promise.withResolvers<void>();

  /** Makes a page that takes so many bytes in one write. */
  constructor(most = Infinity) {
    this.#most = most;
  }

  write(bytes: Uint8Array): Promise<number> {
    this.writes.push(bytes);
    const length = Math.min(bytes.length, this.#most);
    this.text += text(bytes.subarray(0, length));
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
    return Promise.resolve(length);
  }

  /** Waits until this is what was written. */
  async until(expected: string): Promise<void> {
    while (!this.text.includes(expected)) {
      await within(
        this.#changed.promise,
        () => `wanted ${JSON.stringify(expected)}, got ${this.text}`,
      );
    }
  }
}

/** What types and what shows, one chat after the other. */
export class FakePrompt extends Page {
  readonly told: string[] = [];
  chats = 0;
  #lines: (Uint8Array | undefined)[] = [];
  #changed = Promise.withResolvers<void>();

  type(...lines: (string | undefined)[]): void {
    this.#lines.push(
      ...lines.map((line) => line === undefined ? line : bytes(line)),
    );
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async *lines(signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    this.chats++;
    for (;;) {
      while (this.#lines.length === 0) await this.#changed.promise;
      if (signal.aborted) return;
      const line = this.#lines.shift();
      if (line === undefined) return;
      yield line;
    }
  }

  tell(told: string): void {
    this.told.push(told);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

/** A reader that gives these pieces, then ends. */
export function reading(pieces: Uint8Array[]) {
  const left = [...pieces];
  const sizes: number[] = [];
  return {
    sizes,
    read(buffer: Uint8Array): Promise<number | null> {
      sizes.push(buffer.length);
      const piece = left.shift();
      if (piece === undefined) return Promise.resolve(null);
      const length = Math.min(piece.length, buffer.length);
      buffer.set(piece.subarray(0, length));
      if (length < piece.length) left.unshift(piece.subarray(length));
      return Promise.resolve(length);
    },
  };
}

/** A writer that keeps a copy of what it takes, at most so much at a time. */
export function collecting(most = Infinity) {
  const pieces: Uint8Array[] = [];
  return {
    get bytes() {
      return concatenate(pieces);
    },
    write(chunk: Uint8Array): Promise<number> {
      const length = Math.min(most, chunk.length);
      pieces.push(chunk.slice(0, length));
      return Promise.resolve(length);
    },
  };
}
