/**
 * For the modules that still import it.
 *
 * @module
 */
export { FrameBatch } from "./framing/batch.ts";
