/** What is advised to those who type another tool's options and addresses. */
import { assertEquals, assertThrows } from "@std/assert";
import { parseAddress } from "../../lib/address.ts";
import { advise } from "../../lib/command/habits.ts";
import { usage, UsageError } from "../../lib/command/options.ts";

/** What else says about a text that is no address, on a command line. */
function adviceOn(text: string): string {
  const parse = () => usage(() => parseAddress(text), "; so", "--to ");
  const error = assertThrows(parse, UsageError);
  advise(error);
  return error.message;
}

/** The text, and our form of the address. */
const ADDRESSES: [string, string][] = [
  ["http://a:80", "a:80"],
  ["HTTPS://a/b?c", "tls://a:443"],
  ["http://[::1]:8080/", "[::1]:8080"],
  ["/tmp/s", "unix:/tmp/s"],
  ["../s", "unix:../s"],
  ["TCP:a:80", "a:80"],
  ["tcp4:a:80,retry=3", "a:80"],
  ["TCP6-CONNECT:[::1]:80", "[::1]:80"],
  ["TCP-LISTEN:1234,fork", "1234"],
  ["OPENSSL:a:443,verify=1", "tls://a:443"],
  ["ssl-l:443,fork", "tls://443"],
  ["tls:a:443", "tls://a:443"],
  ["UDP4-SENDTO:a:53", "udp://a:53"],
  ["UNIX-CONNECT:/tmp/s", "unix:/tmp/s"],
  ["UNIX:s", "unix:s"],
  ["http://a/$&", "a:80"],
];

for (const [text, own] of ADDRESSES) {
  Deno.test(`advise() gives our form of ${JSON.stringify(text)}`, () => {
    const advice = `--to Cannot parse address "${text}": as an address it is `;
    assertEquals(adviceOn(text), `${advice}${own}; so`);
  });
}

for (const text of ["", "a", "ftp://a:80", "TCP:65536", "http://[", "a:b:c"]) {
  Deno.test(`advise() leaves alone what is wrong with ${JSON.stringify(text)}`, () => {
    const { message } = assertThrows(() => parseAddress(text), SyntaxError);
    assertEquals(adviceOn(text), `--to ${message}; so`);
  });
}

for (
  const [given, advice] of [
    ["-k", "; serving one client after the other is the default"],
    ["--hepl", "; did you mean --help?"],
    ["--greet", "; tcp_server.ts has it as a --mode, as in --mode echo"],
    ["--nonsense", ""],
  ]
) {
  Deno.test(`advise() knows what is meant by ${given}`, () => {
    const cause = { given, flags: ["--once", "--help"] };
    const error = new UsageError("none", { cause });
    advise(error);
    assertEquals(error.message, `none${advice}`);
  });
}

Deno.test("advise() adds nothing to other errors", () => {
  for (const error of [new UsageError("x"), new Error("x", { cause: 1 })]) {
    advise(error);
    assertEquals(error.message, "x");
  }
});
