/** How fast addresses are read and written. */
import { formatAddress, parseAddress } from "../../lib/address.ts";

for (
  const text of ["127.0.0.1:1234", "[2001:db8::1]:443", "tls://example.com:443"]
) {
  const address = parseAddress(text);
  Deno.bench(`parseAddress("${text}")`, () => {
    parseAddress(text);
  });
  Deno.bench(`formatAddress() to "${text}"`, () => {
    formatAddress(address);
  });
}
