// `openGate`: which clients a server lets in, and how many it does not.
import { peerFilter } from "../tcp/peer_filter.ts";
import { ProxyError, readProxyHeader } from "../tcp/proxy_protocol.ts";
import type { ClientLog } from "./clients.ts";
import { log } from "./log.ts";
import { refuse, usage } from "./options.ts";

/** Makes a function that tells whether to serve a client; counts the others. */
export function openGate(
  { from, proxyProtocol, mode, once, cert }: {
    from: string[];
    proxyProtocol: boolean;
    mode: string;
    once: boolean;
    cert?: string;
  },
  transport: string,
  clients: ClientLog,
) {
  refuse({
    "--from needs peers that have addresses, not a unix socket":
      from.length > 0 && transport === "unix" && !proxyProtocol,
    "--proxy-protocol does not go with --cert: the PROXY header comes before the TLS handshake, with which Deno begins; leave TLS to the load balancer":
      cert && proxyProtocol,
  });
  const isWanted = usage(() => peerFilter(from));
  // A load balancer's health check is answered, but it is nobody to talk to.
  const checks = !once && /^(echo|greet|discard|chargen)$/.test(mode);

  let refused = 0;

  /** A flood must not fill the log. */
  function count(conn: Deno.Conn, reason: string): void {
    if (!Number.isInteger(Math.log2(++refused))) return;
    const more = `: ${reason} (${refused} refused so far)`;
    clients.tell("refused", conn, more, { reason, refused });
  }

  return {
    async admit(conn: Deno.Conn): Promise<boolean> {
      try {
        if (proxyProtocol && !await readProxyHeader(conn)) return checks;
        const { remoteAddr } = conn; // the client's by now
        if (from.length === 0) return true;
        if ("hostname" in remoteAddr && isWanted(remoteAddr)) return true;
        count(conn, "--from does not let it in");
      } catch (error) {
        if (!(error instanceof ProxyError)) throw error;
        count(conn, error.message);
      }
      return false;
    },
    [Symbol.dispose]() {
      if (refused === 0) return;
      log.info("refused", `${refused} clients were refused`, { refused });
    },
  };
}
