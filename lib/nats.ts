/**
 * A connection to NATS, which carries messages between machines. Its client is
 * a package of npm's, loaded when first needed.
 *
 * @module
 */
import { formatAddress, type NetAddress, parseAddress } from "./address.ts";
import { explain } from "./failure.ts";

/**
 * The client; deno.json names the same. A constant, not a literal in the
 * `import()`: Deno fetches what it can read there, even if nobody asks for it.
 */
export const NATS_CLIENT = "npm:@nats-io/transport-node@^3.4.0";

/** What is used of the client; the tests hold the package to it. */
export interface NatsClient {
  /** Connects, or rejects after the time in the options. */
  connect(options: {
    servers: string;
    timeout: number;
    resolve: boolean;
    tls?: object;
    // deno-lint-ignore no-explicit-any
    authenticator?: any; // from credsAuthenticator; nothing is done with it
    noEcho: boolean;
    maxReconnectAttempts: number;
    reconnectTimeWait: number;
    ignoreAuthErrorAbort: boolean;
    pingInterval: number;
  }): Promise<NatsConnection>;
  /** Signs in with the JWT and the key of a credentials file. */
  credsAuthenticator(creds: Uint8Array): unknown;
}

/** One connection, which makes itself anew whenever it is lost. */
export interface NatsConnection {
  /** What the server has said about itself: the longest message, in bytes. */
  readonly info?: { readonly max_payload: number };
  /** Sends a message, or keeps it in memory until it can be sent. */
  publish(subject: string, payload: Uint8Array): void;
  /** Asks for the messages with a subject; `*` is any one word of it. */
  subscribe(subject: string, options: {
    callback(error: Error | null, message: NatsMessage): void;
  }): unknown;
  /** Waits until the server has taken all that was published. */
  flush(): Promise<void>;
  /** Tells what becomes of the connection. */
  status(): AsyncIterable<{ type: string; error?: Error }>;
  /** Ends it. */
  close(): Promise<void>;
}

/** A message of somebody else. */
export interface NatsMessage {
  /** What it is about. */
  readonly subject: string;
  /** What it says. */
  readonly data: Uint8Array;
}

/**
 * Reads the address of a NATS server.
 *
 * @param text The address: `nats://HOST:PORT`, or `tls://` if TLS is a must.
 * @returns The address; its transport is `tcp` or `tls`.
 * @throws {SyntaxError} If the text is no such address; the message says why.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseNatsAddress("nats://[::1]"), {
 *   transport: "tcp",
 *   hostname: "::1",
 *   port: 4222,
 * });
 * ```
 */
export function parseNatsAddress(text: string): NetAddress {
  const [, scheme, rest] = /^(nats|tls):\/\/(.+)$/is.exec(text) ?? [];
  if (rest === undefined) {
    throw new SyntaxError(`must be nats://HOST:PORT or tls://…, not ${text}`);
  }
  const transport = scheme.toLowerCase() === "tls" ? "tls" : "tcp";
  const address = parseAddress(rest, { port: 4222, transport });
  if (address.transport !== transport) {
    throw new SyntaxError(`must name one host and port, not ${rest}`);
  }
  return address;
}

/** Credentials for NATS, and where they were read. */
export interface NatsCredentials {
  /** The file. */
  path: string;
  /** What is in it: a JWT and its key, as `nsc` writes them. */
  text: string;
}

/** How long connecting may take, in milliseconds. */
const CONNECT_TIMEOUT = 10_000;

/**
 * Loads the client and connects. A connection that is lost later makes itself
 * anew, however long that takes.
 *
 * @param address Where NATS is.
 * @param credentials What to sign in with.
 * @returns The connection; close it in the end.
 * @throws {Error} If the client cannot be loaded, or NATS cannot be reached.
 *
 * @example
 * ```ts
 * import { assertRejects } from "@std/assert";
 *
 * await assertRejects(
 *   () => connectNats(parseNatsAddress("nats://127.0.0.1:1")),
 *   Error,
 *   "Cannot relay by NATS at 127.0.0.1:1: nobody listens there",
 * );
 * ```
 */
export async function connectNats(
  address: NetAddress,
  credentials?: NatsCredentials,
): Promise<NatsConnection> {
  const client = await load();
  globalThis.addEventListener("error", ignoreStray);
  const { hostname, port } = address;
  const place = formatAddress({ transport: "tcp", hostname, port });
  try {
    return await client.connect({
      servers: place,
      timeout: CONNECT_TIMEOUT,
      // Deno looks the name up, and asks for no more than this permission.
      resolve: false,
      // With this, a server without TLS is refused. Without the host, an IP
      // address would do with a certificate for localhost.
      tls: address.transport === "tls" ? { host: hostname } : undefined,
      authenticator: credentials &&
        client.credsAuthenticator(new TextEncoder().encode(credentials.text)),
      noEcho: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 500,
      ignoreAuthErrorAbort: true,
      // Two without an answer, and the connection counts as lost.
      pingInterval: 5000,
    });
  } catch (error) {
    const known = inWords(error as Error, credentials?.path);
    const permission = `--allow-net=${place}`;
    throw explain(known ?? error, `relay by NATS at ${place}`, permission);
  }
}

async function load(): Promise<NatsClient> {
  try {
    return await import(NATS_CLIENT);
  } catch (error) {
    const [reason] = (error as Error).message.split("\n");
    throw new Error(
      `Cannot load the client for NATS: ${reason} (with a network, \`deno cache ${NATS_CLIENT}\` fetches it once)`,
      { cause: error },
    );
  }
}

/**
 * The client drops a socket that failed, and stops listening to it. In Deno 2.9
 * such a socket can still be reset, an error that nobody catches: the process
 * would end. Nobody else here has sockets of `node:net`.
 */
function ignoreStray(event: ErrorEvent): void {
  const { error } = event;
  const isOfNode = error instanceof Error && "syscall" in error;
  if (isOfNode && error.syscall === "read") event.preventDefault();
}

/** Why there is no connection, where the client says it in its own way. */
function inWords(error: Error, file?: string): Error | undefined {
  const { name, message } = error;
  // That is how a name is refused.
  if (/EPERM/.test(message)) return new Deno.errors.NotCapable(message);
  const reasons: [boolean, string][] = [
    [
      name === "AuthorizationError" && file === undefined,
      "it asks for credentials; name them with --relay-creds FILE",
    ],
    [name === "AuthorizationError", `it refuses the credentials in ${file}`],
    [
      /parse credentials/.test(message),
      `${file} holds no credentials as nsc writes them`,
    ],
    [
      name === "TimeoutError",
      `it did not answer within ${CONNECT_TIMEOUT / 1000}s; is that NATS?`,
    ],
    [
      /unexpected response/.test(message),
      "it does not speak NATS; the port is that for clients, mostly 4222",
    ],
    [/not support 'tls'/.test(message), "it has no TLS; nats:// goes without"],
    [
      /certificate's altnames/.test(message),
      "its certificate is for another name",
    ],
    [
      /verify the first certificate|self-signed/.test(message),
      "its certificate is signed by nobody that is trusted here; name the signer's certificate with `deno run --cert FILE`",
    ],
    [/refused/.test(message), "nobody listens there (connection refused)"],
    [/ENOTFOUND/.test(message), "the name does not resolve to an address"],
  ];
  const found = reasons.find(([applies]) => applies);
  return found && new Error(found[1], { cause: error });
}
