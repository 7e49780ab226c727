/**
 * What tests need that not every system has. Where it is missing they are
 * skipped by name, and tests/lib/skipped_test.ts lists which.
 *
 * @module
 */
import { installed } from "./helpers.ts";

const { os } = Deno.build;
const isUnix = os !== "windows";

/** What there may be, and whether it is here. */
const HAS = {
  /** Windows ends a process with code 1, whatever the signal is. */
  signals: isUnix,
  /** Deno has none on Windows. */
  unixSockets: isUnix,
  /** Pseudo-terminals, which Python opens: there is no such module on Windows. */
  terminals: isUnix && installed("python3", "--version"),
  /** On Windows it may be that of WSL, which is another machine. */
  bash: isUnix && installed("bash", "--version"),
  /** Windows starts no file by its first line. */
  shebang: isUnix,
  /** Debian's, which the tests of the page drive. */
  chromium: os === "linux" && installed("chromium", "--version"),
  /** Windows takes two seconds to hear that nobody listens. */
  quickRefusals: isUnix,
  /** Linux calls: /proc, /dev/full, namespaces, shared ports, stopped processes. */
  linux: os === "linux",
  /** Windows keeps IPv4 away from a socket on `::`. */
  bothVersions: isUnix,
  /** macOS sends no datagram of more than 9,216 bytes. */
  longDatagrams: os !== "darwin",
  /** Elsewhere 127.0.0.1 is no interface for groups and broadcasts. */
  loopbackGroups: os === "linux",
};

/** Something that a test needs. */
export type Need = keyof typeof HAS;

/** Options of a test that is skipped where something is missing. */
export function needs(...all: Need[]): { ignore: boolean; missing: Need[] } {
  const missing = all.filter((need) => !HAS[need]);
  return { ignore: missing.length > 0, missing };
}

/** Whether all of this is here. */
export function has(...all: Need[]): boolean {
  return !needs(...all).ignore;
}
