// Forwarding: a connection is joined with another one.
import { parseAddress } from "../address.ts";
import { connect } from "../tcp/connect.ts";
import { duplex } from "../tcp/stream.ts";

/** Makes a handler that joins a connection with one to this address. */
export function forwardTo(text?: string): (conn: Deno.Conn) => Promise<void> {
  if (!text) throw new SyntaxError("--mode forward needs --to ADDRESS");
  const target = parseAddress(text);
  if (target.transport === "udp" || "port" in target && target.port === 0) {
    throw new SyntaxError(
      `--to must be a host and a port, as in tls://10.0.0.1:443, or unix:/path, not ${text}`,
    );
  }
  return async (conn) => {
    using other = await connect(target).catch(({ message }) => {
      // tcp_client has --ca for this; a server gets it from Deno.
      const advice = message.replace("--ca FILE", "deno run --cert=FILE");
      // This name keeps the message: for others there may be another reason.
      throw Object.assign(new Error(advice), { name: "TargetError" });
    });
    await duplex(conn, other);
  };
}
