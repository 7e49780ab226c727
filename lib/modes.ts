/**
 * What a server can do with its clients, by name.
 *
 * @module
 */
import type { Framing } from "./frame.ts";
import { Keyboard } from "./keyboard.ts";
import { Output } from "./output.ts";
import { Room, type RoomListener, type RoomRelay } from "./room.ts";
import type { Handler } from "./serve.ts";
import { discard, echo, generateCharacters, greet } from "./services.ts";
import { talk } from "./talk.ts";

/** The modes that there are. */
export const MODES = [
  "echo",
  "greet",
  "chat",
  "room",
  "discard",
  "chargen",
] as const;

/** The name of a mode. */
export type Mode = typeof MODES[number];

/** What a mode may need. */
export interface ModeOptions {
  /** What marks the messages. */
  framing: Framing;
  /** What `greet` sends. */
  greeting: string;
  /** Told of who comes to a room, and who goes. */
  onRoomEvent: RoomListener;
  /** What joins a room with rooms elsewhere. */
  relay?: RoomRelay;
}

/** A mode at work. */
export interface RunningMode extends Disposable {
  /** Carries on one conversation. */
  handler: Handler;
}

/**
 * Makes what serves clients in a mode.
 *
 * @param mode The mode.
 * @param options What it may need.
 * @returns The handler; dispose it when the last conversation has ended.
 * @throws {FrameTooLongError} If the greeting does not fit the framing.
 */
export function runMode(mode: Mode, options: ModeOptions): RunningMode {
  const { framing, greeting, onRoomEvent, relay } = options;
  const running = (handler: Handler) => ({ handler, [Symbol.dispose]() {} });
  switch (mode) {
    case "echo":
      return running(echo(framing));
    case "greet":
      return running(greet(framing.encode(new TextEncoder().encode(greeting))));
    case "discard":
      return running(discard);
    case "chargen":
      return running(generateCharacters);
    case "room": {
      const room = new Room(framing, onRoomEvent, relay);
      return running((conn) => room.join(conn));
    }
    case "chat":
      return chat(framing);
  }
}

/** Each client in turn talks with the keyboard. */
function chat(framing: Framing): RunningMode {
  const keyboard = new Keyboard();
  const output = new Output();
  return {
    handler: (conn) => talk(conn, { framing, keyboard, output }),
    [Symbol.dispose]: () => keyboard[Symbol.dispose](),
  };
}
