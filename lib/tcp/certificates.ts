// Certificates and keys for TLS, read from PEM files.
import { describeError } from "./errors.ts";

/** Reads a text file, without a byte order mark. */
export async function readText(path: string): Promise<string> {
  try {
    return (await Deno.readTextFile(path)).replace("\ufeff", "");
  } catch (error) {
    throw describeError(error, `read ${path}`, `--allow-read=${path}`);
  }
}

/** Reads a certificate: TLS takes any text, and then trusts nobody more. */
export async function readCertificate(path: string): Promise<string> {
  const pem = await readText(path);
  if (pem.includes("-----BEGIN CERTIFICATE-----")) return pem;
  throw unusable(path, "it holds no certificate in PEM form");
}

/** Reads a private key, which nobody is there to decrypt. */
export async function readKey(path: string): Promise<string> {
  const pem = await readText(path);
  if (/ENCRYPTED/.test(pem)) {
    throw unusable(
      path,
      "the key is encrypted; `openssl pkey` writes it plain",
    );
  }
  if (/-----BEGIN .*PRIVATE KEY-----/.test(pem)) return pem;
  throw unusable(path, "it holds no private key in PEM form");
}

function unusable(path: string, why: string): Error {
  return new Deno.errors.InvalidData(`Cannot use ${path}: ${why}`);
}
