// `printAnswers`: what comes back to a sender.
import { formatAddress } from "../address.ts";
import type { Log } from "../command/log.ts";
import { Output } from "../command/output.ts";
import type { UdpSocket } from "../udp.ts";

/** Prints what comes back, whoever sent it; gives how many came. */
export async function printAnswers(
  socket: UdpSocket,
  most: number | undefined,
  log: Log,
  signal: AbortSignal,
): Promise<number> {
  const output = new Output();
  let count = 0;
  const end = AbortSignal.any([signal, output.failed]);
  for await (const { payload, peer } of socket.receive({ signal: end })) {
    const [from, bytes] = [formatAddress(peer), payload.length];
    log.info("answer", `${bytes} bytes from ${from}`, { peer: from, bytes });
    await output.datagram(payload);
    if (++count === most) break;
  }
  await output.finish();
  return count;
}
