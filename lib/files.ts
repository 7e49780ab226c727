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

/**
 * Reads a file that has to hold a certificate. TLS itself takes any text, and
 * then trusts nobody more than before.
 *
 * @param path Where it is.
 * @returns The certificate, as PEM text.
 * @throws {Deno.errors.InvalidData} If there is none in it.
 */
export async function readCertificate(path: string): Promise<string> {
  const text = await readFile(path);
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw new Deno.errors.InvalidData(
    `Cannot use ${path}: it holds no certificate in PEM form`,
  );
}
