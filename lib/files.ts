/**
 * Files named on the command line.
 *
 * @module
 */
import { explain } from "./failure.ts";

/**
 * Reads a text file, such as a certificate.
 *
 * @param path Where it is.
 * @returns What is in it.
 * @throws {Deno.errors.NotFound} If there is no such file.
 * @throws {Deno.errors.NotCapable} If Deno's permissions do not cover it.
 */
export async function readFile(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw explain(error, `read ${path}`, `--allow-read=${path}`);
  }
}
