// `openGate`: which clients a server lets in.
import { peerFilter } from "../tcp/peer_filter.ts";
import { ProxyError, readProxyHeader } from "../tcp/proxy_protocol.ts";
import type { ClientLog } from "./clients.ts";
import { refuse, usage } from "./options.ts";

/** Makes a function that tells whether to serve a client. */
export function openGate(
  { from, proxyProtocol, mode, once }: {
    from: string[];
    proxyProtocol: boolean;
    mode: string;
    once: boolean;
  },
  transport: string,
  clients: ClientLog,
) {
  refuse({
    "--from needs peers that have addresses, not a unix socket":
      from.length > 0 && transport === "unix" && !proxyProtocol,
    "--proxy-protocol does not go with --cert: the PROXY header comes before the TLS handshake, with which Deno begins; leave TLS to the load balancer":
      transport === "tls" && proxyProtocol,
  });
  const isWanted = usage(() => peerFilter(from));
  // A load balancer's health check is answered, but it is nobody to talk to.
  const isAnswered = !once && /^(echo|greet|discard|chargen)$/.test(mode);
  const [fate, event] = isAnswered ? ["answered", "connected"] : ["ignored"];

  return async (conn: Deno.Conn): Promise<boolean> => {
    let reason = "--from does not let it in";
    try {
      if (proxyProtocol && !await readProxyHeader(conn)) {
        reason = "it is a health check";
        clients.count(`health checks were ${fate}`, conn, reason, event);
        return isAnswered;
      }
      const { remoteAddr } = conn; // the client's by now
      const isIn = "hostname" in remoteAddr && isWanted(remoteAddr);
      if (isIn || from.length === 0) return true;
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      reason = error.message;
    }
    clients.count("clients were refused", conn, reason);
    return false;
  };
}
