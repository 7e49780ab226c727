/**
 * For relay.ts, which still imports it.
 *
 * @module
 */
import { type Framing, parseFraming } from "./framing.ts";

/** The framing `lines`. */
export function lines(maxFrameLength: number): Framing {
  return parseFraming("lines", {
    maxFrameLength: Math.min(maxFrameLength, Number.MAX_SAFE_INTEGER),
  });
}
