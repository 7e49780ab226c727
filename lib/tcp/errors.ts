// Errors of socket calls in words that say what to do about them.

/**
 * Rewrites the message of an error to `Cannot ATTEMPT: reason`. The error stays
 * the object that it was, with its class and its `code`; anything else that was
 * thrown is wrapped. `permission` is the flag that Deno needs for the attempt.
 */
export function describeError(
  error: unknown,
  attempt: string,
  permission: string,
  why: string = reasonFor(error),
): Error {
  if (error instanceof Deno.errors.NotCapable) {
    why = `Deno was not allowed to; it needs ${permission}`;
  }
  const message = `Cannot ${attempt}: ${why}`;
  // The message of a DOMException cannot be changed.
  if (!(error instanceof Error) || error instanceof DOMException) {
    return new Error(message, { cause: error });
  }
  error.message = message;
  return error;
}

/** What Deno calls it, or the system, for what Deno has no class for. */
const REASONS: Record<string, string> = {
  EHOSTUNREACH: "no route leads there (host unreachable)",
  EINVAL: "the system refuses that address, or its route leads nowhere",
  EMFILE: "there are no file descriptors left; raise `ulimit -n`",
  ENETUNREACH: "no route leads there (network unreachable)",
  ENFILE: "the whole system has no file descriptors left",
  ENOSPC: "there is no space left on the device",

  AddrInUse: "another program uses it; stop that one, or take another address",
  AddrNotAvailable:
    "this machine has no such address; 127.0.0.1 and 0.0.0.0 always work",
  BrokenPipe: "the peer has closed the connection",
  ConnectionAborted: "the connection was aborted",
  ConnectionRefused: "nobody listens there (connection refused)",
  ConnectionReset: "the peer cut the connection (reset)",
  NotConnected: "the peer was gone at once",
  NotFound: "there is no such file",
  PermissionDenied: "the system does not permit it",
};

/** Why the system lets somebody read a file or connect, but not listen. */
export const LOW_PORT =
  "the system does not permit it; ports below 1024 may need more rights";

/** What rustls says, from the words in its message: made when they are needed. */
const tlsReasons = (): [RegExp, string][] => [
  [/: Expired/, "its certificate has expired"],
  [/NotValidYet/, "its certificate is not valid yet; is this clock right?"],
  [
    /UnknownIssuer/,
    "its certificate is signed by nobody that is trusted here; name the signer's certificate with --ca FILE",
  ],
  [
    /not valid for name/,
    "its certificate is for another name; --server-name NAME says which one to expect",
  ],
  [
    /CaUsedAsEndEntity/,
    "its certificate is a CA's, which no server may use; make one with basicConstraints=CA:FALSE",
  ],
  [
    /InvalidContentType|InvalidMessage|unexpected handshake message/,
    "the peer does not speak TLS",
  ],
  [/No certificates found/, "the --cert file holds no certificate"],
  [/KeyMismatch/, "--key is not the key that belongs to --cert"],
  [
    /^unexpected end of file$|handshake eof/i,
    "the peer closed in the middle of the TLS handshake; does it speak TLS?",
  ],
  [
    /close_notify/,
    "the peer ended without a TLS farewell, so what came may be cut short",
  ],
  [
    /fatal alert: (UnknownCA|\w*Certificate)/,
    "the peer did not accept the certificate",
  ],
];

/** Says in a few words why a socket call failed. */
export function reasonFor(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { name, message, code = "" } = error as Error & { code?: string };
  const isTls = /^(InvalidData|UnexpectedEof)$/.test(name) ||
    message.endsWith("KeyMismatch"); // which has no class of its own
  const tls = isTls && tlsReasons().find(([said]) => said.test(message))?.[1];
  const reason = REASONS[code] ?? (tls || REASONS[name]);
  if (reason !== undefined) return reason;
  // The text differs from system to system; the class is a plain Error.
  const isPlain = name === "Error";
  return isPlain && (isLookupError(error) || /resolve/i.test(message))
    ? "the name does not resolve to an address"
    : message;
}

/** Tells whether the system could not resolve a name: Deno has no class for it. */
export function isLookupError(error: unknown): boolean {
  return error instanceof Error &&
    /lookup address|nodename|No such host/i.test(error.message);
}

/**
 * Tells whether a peer was gone before it was accepted: after a reset Deno finds
 * no address of it any more. The listener is as good as before.
 */
export function isGonePeer(error: unknown): boolean {
  return error instanceof Error &&
    /^(NotConnected|ConnectionReset|ConnectionAborted)$/.test(error.name);
}
