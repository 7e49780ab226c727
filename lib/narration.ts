/**
 * The steps in a socket's life, as words and as a diagram.
 *
 * @module
 */
import { formatAddress } from "./address.ts";
import { safeLine } from "./text.ts";

/** A step, as it is told. */
export interface Step {
  /** What happens: `bind`, `send`. */
  name: string;
  /** To what, or how much. */
  what: string;
  /** The call in C. */
  c: string;
  /** The call in Python. */
  python: string;
  /** The other side, for the diagram. */
  peer?: string;
  /** Whether it comes from the other side. */
  incoming?: boolean;
}

/** A longer diagram nobody reads. */
const MAX_DIAGRAM_STEPS = 500;
const PREVIEW_LENGTH = 16;

/**
 * Writes an address as a person does, and as Python does.
 *
 * @param address What a socket has as its address, or was told as one.
 * @returns Both.
 */
export function addressOf(address: unknown): { text: string; python: string } {
  const { hostname, port, path } = address as Record<string, string | null>;
  if (hostname === undefined) {
    const text = path ? `unix:${safeLine(path)}` : "a local peer";
    return { text, python: JSON.stringify(path ?? "") };
  }
  const text = formatAddress({
    transport: "tcp",
    hostname: hostname!,
    port: Number(port),
  });
  return { text, python: `("${hostname}", ${port})` };
}

/**
 * Shows the beginning of what goes over the wire.
 *
 * @param bytes The bytes.
 * @param length How many of them count.
 * @returns Quoted text, safe for a terminal.
 */
export function preview(bytes: Uint8Array, length: number | null): string {
  const shown = bytes.subarray(0, Math.min(length ?? 0, PREVIEW_LENGTH));
  const text = new TextDecoder().decode(shown)
    .replaceAll("\n", "\\n").replaceAll("\r", "\\r");
  return `"${safeLine(text)}"${length! > PREVIEW_LENGTH ? "…" : ""}`;
}

/**
 * Writes a step for a person who watches.
 *
 * @param step The step.
 * @returns Two lines: what happens, and which calls do it.
 */
export function textOf({ name, what, c, python }: Step): string {
  const elapsed = `${performance.now().toFixed(1)} ms`.padStart(11);
  const said = `${elapsed}  ${name.padEnd(10)} ${what}`;
  return `${said}\n${" ".repeat(13)}C: ${c}   Python: ${python}\n`;
}

/**
 * Draws steps as a Mermaid sequence diagram.
 *
 * @param self What this side is called.
 * @param steps The steps, in order.
 * @returns The diagram, which renders as it is.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const [c, python] = ["bind(…)", "s.bind(…)"];
 * const bind = { name: "bind", what: "127.0.0.1:80", c, python };
 * assertEquals(diagramOf("tcp_server", [bind]).split("\n")[2].trim(),
 *   "Note over self: bind: 127.0.0.1:80");
 * ```
 */
export function diagramOf(self: string, steps: readonly Step[]): string {
  const peers = [...new Set(steps.flatMap(({ peer }) => peer ?? []))];
  const lines = [
    "sequenceDiagram",
    `    participant self as ${self}`,
    ...peers.map((peer, i) => `    participant peer${i} as ${entities(peer)}`),
    ...steps.slice(0, MAX_DIAGRAM_STEPS).map((step) => arrow(step, peers)),
  ];
  const left = steps.length - MAX_DIAGRAM_STEPS;
  if (left > 0) lines.push(`    Note over self: and ${left} steps more`);
  return `${lines.join("\n")}\n`;
}

function arrow({ name, what, peer, incoming }: Step, peers: string[]): string {
  const said = entities(`${name}: ${what}`);
  if (peer === undefined) return `    Note over self: ${said}`;
  const other = `peer${peers.indexOf(peer)}`;
  return incoming
    ? `    ${other}->>self: ${said}`
    : `    self->>${other}: ${said}`;
}

/** What Mermaid would take for its own is written as a number. */
function entities(text: string): string {
  return text.replace(
    /[#;<>{}%]/g,
    (character) => `#${character.charCodeAt(0)};`,
  );
}
