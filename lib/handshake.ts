/**
 * The TLS handshake, with an end.
 *
 * @module
 */

/**
 * Shakes hands until a signal says that it takes too long.
 *
 * Deno's own `handshake` takes no signal, but closing the connection ends it.
 *
 * @param conn The connection; it is closed when the signal is aborted.
 * @param signal When to give up.
 * @throws {Deno.errors.InvalidData} If a certificate is not to be trusted, or
 * the peer does not speak TLS.
 * @throws {Deno.errors.Interrupted} If the signal is aborted.
 */
export async function handshake(
  conn: Deno.TlsConn,
  signal: AbortSignal,
): Promise<void> {
  const close = () => conn[Symbol.dispose]();
  signal.addEventListener("abort", close, { once: true });
  try {
    if (signal.aborted) close();
    await conn.handshake();
  } finally {
    signal.removeEventListener("abort", close);
  }
}
