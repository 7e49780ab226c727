// Importing this module tells each socket call on standard error, with the calls
// in C and Python that it stands for. It works with any program:
//
//     deno run --allow-net --preload lib/explain.ts ANY.ts
import { onStep, type SocketStep } from "./explain/watch.ts";

const INDENT = " ".repeat(13);

/** Writes a step to standard error, in lines that fit a terminal. */
function printStep({ time, name, what, c, python }: SocketStep): void {
  // An option takes no time: it belongs to the step before.
  const elapsed = name === "option" ? "" : `${time.toFixed(1)} ms`;
  const first = `${elapsed.padStart(11)}  ${name.padEnd(10)} ${what}`;
  const isTerminal = Deno.stderr.isTerminal();
  const width = isTerminal && Deno.consoleSize().columns || Infinity;
  const calls = [`C: ${c}`, `Python: ${python}`];
  const isShort = INDENT.length + calls.join("   ").length <= width;
  const lines = [first, ...isShort ? [calls.join("   ")] : calls];
  console.error(lines.map((line) => wrap(line, width)).join(`\n${INDENT}`));
}

/** Goes on in the next line, indented, where a line is too wide. */
function wrap(line: string, width: number): string {
  let [text, column] = ["", line.startsWith(" ") ? 0 : INDENT.length];
  for (const character of line) {
    const columns = character < "\u1100" ? 1 : 2; // from there on many are wide
    if (column + columns > width) {
      text += `\n${INDENT}`;
      column = INDENT.length;
    }
    text += character;
    column += columns;
  }
  return text;
}

onStep(printStep);
