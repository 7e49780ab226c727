/**
 * Certificates for tests: a CA, and what servers may show that it has signed,
 * should not have signed, or has not signed.
 *
 * @module
 */

import { type Running, start } from "./helpers.ts";

/** A certificate and its private key. */
export interface Certificate {
  /** The certificate, as PEM text. */
  cert: string;
  /** The private key, as PEM text. */
  key: string;
  /** Where the certificate is. */
  certFile: string;
  /** Where the private key is. */
  keyFile: string;
}

/** What {@linkcode makeCertificates} makes. */
export interface Certificates extends AsyncDisposable {
  /** Where the files are, until the object is disposed. */
  directory: string;
  /** The authority: what a client has to trust. */
  ca: Certificate;
  /** Signed by the authority, for `localhost`, `127.0.0.1` and `::1`. */
  good: Certificate;
  /** The same, but no longer valid since yesterday. */
  expired: Certificate;
  /** Signed by the authority, for `other.example` only. */
  wrongName: Certificate;
  /** For `localhost`, `127.0.0.1` and `::1`, signed by nobody but itself. */
  selfSigned: Certificate;
}

/** Whether certificates can be made here. */
export const hasOpenssl: boolean = await runs("openssl", "version");

const CURVE = "ec_paramgen_curve:prime256v1";
const NEW_KEY = ["-newkey", "ec", "-pkeyopt", CURVE, "-nodes"];
const LOOPBACK = "DNS:localhost,IP:127.0.0.1,IP:::1";

/**
 * Makes certificates in a new temporary directory.
 *
 * @returns The certificates; dispose them to remove the directory.
 * @throws {Error} If openssl fails.
 */
export async function makeCertificates(): Promise<Certificates> {
  const directory = await Deno.makeTempDir({ prefix: "certificates_" });
  const remove = () => Deno.remove(directory, { recursive: true });
  try {
    await makeSelfSigned(directory, "ca", [
      ...["-addext", "basicConstraints=critical,CA:TRUE"],
    ]);
    const [ca, good, expired, wrongName, selfSigned] = await Promise.all([
      read(directory, "ca"),
      makeSigned(directory, "good", LOOPBACK, "30"),
      makeSigned(directory, "expired", LOOPBACK, "-1"),
      makeSigned(directory, "wrong_name", "DNS:other.example", "30"),
      // A CA's certificate is refused for being that, before its signer counts.
      makeSelfSigned(directory, "self_signed", [
        ...["-addext", "basicConstraints=critical,CA:FALSE"],
        ...["-addext", `subjectAltName=${LOOPBACK}`],
      ]),
    ]);
    return {
      ...{ directory, ca, good, expired, wrongName, selfSigned },
      [Symbol.asyncDispose]: remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Starts `tcp_server.ts` with TLS, on any port. */
export function startWithTls(
  { certFile, keyFile }: Certificate,
  ...args: string[]
): Running {
  const tls = ["tls://127.0.0.1:0", "--cert", certFile, "--key", keyFile];
  const permissions = ["--allow-net", `--allow-read=${certFile},${keyFile}`];
  return start("tcp_server.ts", [...tls, ...args], { permissions });
}

async function makeSelfSigned(
  directory: string,
  name: string,
  extensions: string[],
): Promise<Certificate> {
  await openssl(directory, [
    ...["req", "-x509", ...NEW_KEY, "-days", "30", "-subj", `/CN=${name}`],
    ...["-keyout", `${name}.key`, "-out", `${name}.pem`, ...extensions],
  ]);
  return await read(directory, name);
}

async function makeSigned(
  directory: string,
  name: string,
  subjects: string,
  days: string,
): Promise<Certificate> {
  await Deno.writeTextFile(
    `${directory}/${name}.ext`,
    `basicConstraints=critical,CA:FALSE\nsubjectAltName=${subjects}\n`,
  );
  await openssl(directory, [
    ...["req", ...NEW_KEY, "-subj", `/CN=${name}`],
    ...["-keyout", `${name}.key`, "-out", `${name}.csr`],
  ]);
  // A serial number of its own: they are signed at the same time.
  const serial = `0x${crypto.randomUUID().replaceAll("-", "").slice(1)}`;
  await openssl(directory, [
    ...["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem"],
    ...["-CAkey", "ca.key", "-set_serial", serial, "-days", days],
    ...["-extfile", `${name}.ext`, "-out", `${name}.pem`],
  ]);
  return await read(directory, name);
}

async function read(directory: string, name: string): Promise<Certificate> {
  const certFile = `${directory}/${name}.pem`;
  const keyFile = `${directory}/${name}.key`;
  const [cert, key] = await Promise.all(
    [certFile, keyFile].map((file) => Deno.readTextFile(file)),
  );
  return { cert, key, certFile, keyFile };
}

async function openssl(directory: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", {
    ...{ args, cwd: directory },
    ...{ stdin: "null", stdout: "null", stderr: "piped" },
  }).output();
  if (success) return;
  const said = new TextDecoder().decode(stderr);
  throw new Error(`Cannot run openssl ${args.join(" ")}: ${said}`);
}

async function runs(program: string, ...args: string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(program, {
      ...{ args, stdin: "null", stdout: "null", stderr: "null" },
    }).output();
    return success;
  } catch {
    return false;
  }
}
