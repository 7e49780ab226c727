/**
 * An even pace: one turn after another at a fixed interval.
 *
 * @module
 */
import { pause } from "./pause.ts";

/** A timer of Deno's is late by up to this, in milliseconds. */
const TIMER_DELAY = 2.5;
/** A nap may be late by this, in milliseconds. */
const NAP_DELAY = 0.1;
/** The shortest time between two turns, as a part of the interval. */
const SHORTEST = 1 / 4;
/** How many turns at full speed before everybody else has one. */
const TURNS_IN_A_ROW = 32;

/**
 * Gives turns at an even pace.
 *
 * Each turn has its time on a schedule that is fixed at the start, so no delay
 * adds up. After one the next turns come sooner, but a quarter of the interval
 * apart: what is late is caught up with, and not in a burst.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 *
 * using pacer = new Pacer(5);
 * const start = performance.now();
 * for (let turn = 0; turn < 4; turn++) await pacer.turn();
 * assert(performance.now() - start >= 15);
 * ```
 */
export class Pacer implements Disposable {
  #interval: number;
  #start: number | undefined;
  #last = -Infinity;
  #turns = 0;
  #channel = new MessageChannel();
  #next: () => void = () => {};

  /**
   * Makes a pacer.
   *
   * @param interval Time between two turns, in milliseconds; 0 for no wait.
   */
  constructor(interval: number) {
    this.#interval = interval;
    this.#channel.port1.onmessage = () => this.#next();
  }

  /**
   * Waits for the next turn. The first is at once.
   *
   * @param signal Ends the wait early.
   */
  async turn(signal?: AbortSignal): Promise<void> {
    this.#start ??= performance.now();
    const due = this.#start + this.#turns++ * this.#interval;
    if (this.#interval === 0) {
      if (this.#turns % TURNS_IN_A_ROW === 0) await this.#letOthers();
      return;
    }
    const at = Math.max(due, this.#last + this.#interval * SHORTEST);
    for (;;) {
      const left = at - performance.now();
      if (left <= 0 || signal?.aborted) break;
      // A timer would be late for the last bit.
      if (left > TIMER_DELAY) await pause(left - TIMER_DELAY, signal);
      else {
        if (left > 2 * NAP_DELAY) nap(Math.min(left - NAP_DELAY, 1));
        await this.#letOthers();
      }
    }
    this.#last = performance.now();
  }

  /** Ends it; without that the process would not end. */
  [Symbol.dispose](): void {
    this.#channel.port1.close();
    this.#channel.port2.close();
  }

  /** A turn of the event loop, some microseconds where `setTimeout` has 2 ms. */
  #letOthers(): Promise<void> {
    return new Promise((resolve) => {
      this.#next = resolve;
      this.#channel.port2.postMessage(undefined);
    });
  }
}

const never = new Int32Array(new SharedArrayBuffer(4));

/**
 * Stops everything for up to a millisecond. To ask the clock again and again
 * would take the processor from whoever is to receive.
 */
function nap(milliseconds: number): void {
  Atomics.wait(never, 0, 0, milliseconds);
}
