// Forwarding: a connection is joined with another one.
import { type Address, parseAddress } from "../address.ts";
import { connect } from "../tcp/connect.ts";
import { duplex } from "../tcp/duplex.ts";

/** The other side cannot be reached: the message says which, and why. */
class TargetError extends Error {
  override name = "TargetError";
}

/** Reads where to forward to. */
export function parseTarget(text?: string): Address {
  if (!text) throw new SyntaxError("--mode forward needs --to ADDRESS");
  const address = parseAddress(text);
  if (address.transport !== "udp" && ("path" in address || address.port > 0)) {
    return address;
  }
  throw new SyntaxError(
    `--to must be a host and a port, as in tls://10.0.0.1:443, or unix:/path, not ${text}`,
  );
}

/** Connects to the target and carries bytes both ways until both have ended. */
export async function forward(conn: Deno.Conn, target: Address) {
  using other = await connect(target).catch(({ message }) => {
    // A client has --ca for this; Deno has its own for every program.
    const advice = message.replace(
      "with --ca FILE",
      "with deno run --cert=FILE",
    );
    throw new TargetError(advice);
  });
  await duplex(conn, other);
}
