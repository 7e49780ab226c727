/**
 * Certificates and keys for TLS, read from PEM files.
 *
 * @module
 */
import { describeError } from "./errors.ts";

/** Reads a text file, such as a private key. */
export async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw describeError(error, `read ${path}`, `--allow-read=${path}`);
  }
}

/**
 * Reads a file that has to hold a certificate. TLS itself takes any text, and
 * then trusts nobody more than before.
 */
export async function readCertificate(path: string): Promise<string> {
  const pem = await readText(path);
  if (pem.includes("-----BEGIN CERTIFICATE-----")) return pem;
  throw new Deno.errors.InvalidData(
    `Cannot use ${path}: it holds no certificate in PEM form`,
  );
}
