/**
 * Those with whom a relay shares its room, and what their messages say.
 * `relay.ts` has the protocol.
 *
 * @module
 */

/** What a message says about its server. */
export interface RelayHeader {
  /** Lines said there before those of this message, lost ones too. */
  lines: number;
  /** Bytes published before. */
  bytes: number;
  /** Members there. */
  members: number;
  /** How far it has heard the others, in their bytes. */
  heard?: Record<string, number>;
  /** Whether it leaves. */
  bye?: boolean;
}

/**
 * Reads what a message says about its server. Anyone may have sent it.
 *
 * @param json The first line of the message.
 * @returns What it says; nothing if it is not as it should be.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const json = new TextEncoder().encode('{"lines":1,"bytes":7,"members":-1}');
 * assertEquals(readRelayHeader(json), undefined);
 * ```
 */
export function readRelayHeader(json: Uint8Array): RelayHeader | undefined {
  try {
    const header = JSON.parse(new TextDecoder().decode(json)) as RelayHeader;
    const counts = [header.lines, header.bytes, header.members];
    return counts.every(isCount) ? header : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Tells whether something can be the number of something.
 *
 * @param value Anything.
 * @returns Whether it is a whole number from 0.
 */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Somebody that speakers wait for: NATS itself, or another server. */
export class Receiver {
  /** How far it has heard us, in bytes. */
  heard = 0;
  /** Whether it is waited for: not if it has stood still too long. */
  awaited = true;
  /** Since when it is behind and stands still. */
  stuckSince: number | undefined;

  /**
   * Takes note of how far it has heard us.
   *
   * @param bytes All that it has heard, in bytes.
   */
  hasHeard(bytes: number): void {
    this.heard = bytes;
    this.awaited = true;
    this.stuckSince = undefined;
  }
}

/** Another server. */
export class Elsewhere extends Receiver {
  /** The six characters that its names end with. */
  readonly id: string;
  /** What its lines look like; nobody there can speak for somebody here. */
  readonly shape: RegExp;
  /** How far we have heard it, in lines. */
  lines: number;
  /** The same, in bytes. */
  bytes: number;
  /** How far it knows that. */
  acknowledged = 0;
  /** Members there. */
  members = 0;
  /** When it last said something, in milliseconds. */
  seen = 0;
  /** Whether it has said nothing for too long. */
  gone = false;

  /**
   * Makes a server that is heard from its first message on.
   *
   * @param id The six characters that its names end with.
   * @param header What its first message says.
   */
  constructor(id: string, { lines, bytes }: RelayHeader) {
    super();
    this.id = id;
    this.lines = lines;
    this.bytes = bytes;
    const name = `user\\d{1,15}@${id}`;
    this.shape = new RegExp(`^(<${name}> |\\* ${name} (joined|left)$)`);
  }
}
