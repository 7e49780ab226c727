// Errors of socket calls in words that say what to do about them.

// Rewrites the message of an error to `Cannot ATTEMPT: reason`, or wraps what is
// not an Error. `permission` is the flag that Deno needs for the attempt.
export function describeError(
  error: unknown,
  attempt: string,
  permission: string,
  why: string = reasonFor(error, attempt, permission),
): Error {
  const message = `Cannot ${attempt}: ${why}`;
  // The message of a DOMException cannot be changed.
  if (!(error instanceof Error) || error instanceof DOMException) {
    return new Error(message, { cause: error });
  }
  return Object.assign(error, { message });
}

/** By the system's or Deno's name for it, after a verb where that matters. */
const REASONS: Record<string, string> = {
  EHOSTUNREACH: "no route leads there (host unreachable)",
  EINVAL: "the system refuses that address, or its route leads nowhere",
  EISDIR: "standard input is a directory",
  EMFILE: Deno.build.os === "windows"
    ? "there are no sockets left" // and no ulimit, which only Unix has
    : "there are no file descriptors left; raise `ulimit -n`",
  ENETUNREACH: "no route leads there (network unreachable)",
  EMSGSIZE:
    "the system sends no datagram of that length; on macOS `sysctl net.inet.udp.maxdgram` says which",
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

  // Windows connects to no "any address" (`connect` on learn.microsoft.com).
  "connect AddrNotAvailable":
    "no address of this machine leads there, or its ports are used up; 0.0.0.0 and [::] are only for listening",
  // Hyper-V reserves ports: `netsh int ipv4 show excludedportrange tcp`.
  "listen PermissionDenied": Deno.build.os === "windows"
    ? "Windows keeps that port; take another"
    : "the system does not permit it; ports below 1024 may need more rights",
  "read IsADirectory": "it is a directory",
  "send AddrNotAvailable": "no address of this machine leads there",
  "send EPERM": "this machine's firewall does not let it out",
  "unix AddrInUse":
    "the file is there: another server's, or left behind by one that was killed; then remove it",
  "unix NotFound": "there is no such folder",

  // On request: where copies are put.
  "write NotFound": "there is no such folder; it has to be made first",
};

/** By a pattern in the attempt and the message, where only they tell. */
const WORDS: Record<string, string> = {
  ": Expired": "its certificate has expired",
  "NotValidYet": "its certificate is not valid yet; is this clock right?",
  "UnknownIssuer":
    "its certificate is signed by nobody that is trusted here; name the signer's certificate with --ca FILE",
  "not valid for name":
    "its certificate is for another name; --server-name NAME expects the one it has",
  "CaUsedAsEndEntity":
    "its certificate is a CA's, which no server may use; make one with basicConstraints=CA:FALSE",
  "ForPublicKey|BadSignature":
    "its certificate is not signed by the authority that it names; is --ca the right file?",
  "^listen .*BadEncoding|Unable to decode certificate":
    "the certificate in the --cert file is damaged",
  "certificate store": "the certificate in the --ca file is damaged",
  "BadEncoding": "its certificate, or the one in the --ca file, is damaged",
  "InvalidContentType|InvalidMessage|unexpected handshake message":
    "the peer does not speak TLS",
  "parse private key":
    "the --key file holds no key for TLS: RSA of 2048 bits and more, ECDSA (P-256, P-384, P-521) or Ed25519",
  "KeyMismatch": "--key is not the key that belongs to --cert",
  " unexpected end of file$|handshake eof":
    "the peer closed in the middle of the TLS handshake; does it speak TLS?",
  "close_notify":
    "the peer ended without a TLS farewell, so what came may be cut short",
  "alert: \\w*(CA|Certificate)": "the peer did not accept the certificate",
  "SUN_LEN": "the path of a unix socket has 107 bytes at most, some have 103",
  "op_net_\\w+_unix.* not supported": "Deno has no unix sockets on Windows",
  "\\[(fe[89ab]|ff.[12])[^%]*\\]:\\d+ E(INVAL|ADDRNOTAVAIL|\\w*UNREACH)":
    "its zone is missing: an interface, as in %eth0",
  "listenDatagram is not a function":
    "Deno has UDP only with a flag; add --unstable-net after `deno run`",
  "^listen .*:0 EADDRINUSE": "all its ports are in use",
  "%\\S+\\]:\\d+ .*(lookup address|not resolve)":
    "this machine has no such network interface for it",
  // Each system has its own words for it, Windows in several languages.
  "lookup address|getaddrinfo|nodename|not resolve|os error 1100[1-4]\\b":
    "the name does not resolve to an address",

  // On request: joining a group, which copies cannot.
  "^join .*(os error 19\\b|EADDRNOTAVAIL)":
    "no interface has that address or number, or it does no multicast",
  "^join .* EADDRINUSE": "it has been joined there already",
  "^join .* ENOBUFS":
    "the system lets a socket join no more groups; on Linux `sysctl net.ipv4.igmp_max_memberships` says how many",
  "^join .*(os error 92\\b|EAFNOSUPPORT)":
    "the socket is bound to the other version of IP; one receiver hears groups of one",
};

/** Says in a few words why an attempt failed; it may need a permission. */
export function reasonFor(error: unknown, attempt = "", permission = "") {
  if (!(error instanceof Error)) return String(error);
  if (permission && error instanceof Deno.errors.NotCapable) {
    return `Deno was not allowed to; it needs ${permission}`;
  }
  const { name, message, code } = error as Error & { code?: string };
  const [, verb] = /^(?:listen on (?=unix:))?(\w*)/.exec(attempt)!;
  // Other classes may quote a peer's words.
  const isVague =
    /^((Type)?Error|InvalidData|UnexpectedEof|NotSupported|\w+Unreachable|Addr\w+)$/
      .test(name);
  const said = `${attempt} ${code} ${message}`;
  const words = isVague &&
    Object.keys(WORDS).find((one) => RegExp(one).test(said));
  return (words && WORDS[words]) || REASONS[`${verb} ${name}`] ||
    REASONS[`${verb} ${code}`] || REASONS[`${code}`] || REASONS[name] ||
    message;
}

// Tells whether a peer was gone before it was accepted: Deno finds no address of
// it then, macOS says EINVAL, or EPROTOTYPE to a write (soaccept, sosend in xnu).
export function isGonePeer(error: unknown): boolean {
  const { name, message, code } = Object(error);
  return /^(NotConnected|ConnectionReset|ConnectionAborted)$/.test(name) ||
    /EINVAL|EPROTOTYPE|os error 41\b/.test(`${code} ${message}`);
}
