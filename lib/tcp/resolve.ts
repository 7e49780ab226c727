// `resolveName`: an address in place of a name, looked up once.
import { type Address, formatAddress } from "../address.ts";
import { describeError } from "./errors.ts";
import { after } from "./stream.ts";

/** How long the system may take over a name, in milliseconds. */
const LOOKUP_TIMEOUT = 10_000;

/**
 * Looks a name up as the system does, the hosts file first; `versions` are those
 * of IP that will do, the best first. `attempt` says what it is for. Deno's own
 * calls look it up each time, and `listen` stops the process meanwhile.
 */
export async function resolveName<Where extends Address>(
  address: Where,
  attempt: string,
  versions = [4, 6],
): Promise<Where> {
  if (address.transport === "unix") return address;
  const { hostname, port } = address;
  if (/^[\d.]+$|:/.test(hostname)) return address;
  const { lookup } = await import("node:dns/promises");
  const late = Promise.withResolvers<never>();
  using _deadline = after(LOOKUP_TIMEOUT, () => {
    late.reject(new Deno.errors.TimedOut("DNS is silent"));
  });
  const search = lookup(hostname, { all: true, order: "verbatim" });
  try {
    const found = await Promise.race([search, late.promise]);
    const [best] = versions.flatMap((version) =>
      found.filter(({ family }) => family === version)
    );
    if (!best) throw new Error(`the name has no address of IPv${versions[0]}`);
    const place = { hostname: best.address, port };
    const host = formatAddress({ transport: "tcp", ...place });
    const { state } = Deno.permissions.querySync({ name: "net", host });
    return state === "granted" ? { ...address, ...place } : address;
  } catch (error) {
    // Deno may use it by its name only, and looks it up itself.
    if ((error as { code?: string }).code === "EPERM") return address;
    throw describeError(error, `${attempt} ${formatAddress(address)}`, "");
  }
}
