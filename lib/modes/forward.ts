// Forwarding: a connection is joined with another one.
import { parseAddress } from "../address.ts";
import { connect } from "../tcp/connect.ts";
import { duplex } from "../tcp/duplex.ts";

/** The other side cannot be reached: the message says which, and why. */
class TargetError extends Error {
  override name = "TargetError";
}

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
      // A client has --ca for this; Deno has its own for every program.
      const advice = message.replace("--ca FILE", "deno run --cert=FILE");
      throw new TargetError(advice);
    });
    await duplex(conn, other);
  };
}
