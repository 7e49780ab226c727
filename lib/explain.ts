// Importing this module prints each socket call on standard error, with the calls
// in C and Python that it stands for. It works with any program:
//
//     deno run --allow-net --preload lib/explain.ts ANY.ts
import { type SocketStep, stepListeners } from "./explain/watch.ts";

const INDENT = " ".repeat(13);

/** Where steps are printed; a script puts them into its log. */
export const explanation = { write: (text: string) => console.error(text) };

/** Writes a step to standard error, in lines that fit a terminal. */
function printStep({ time, name, what, c, python }: SocketStep): void {
  // An option takes no time: it belongs to the step before.
  const elapsed = name === "option" ? "" : `${time.toFixed(1)} ms`;
  const isTerminal = Deno.stderr.isTerminal();
  const width = isTerminal && Deno.consoleSize().columns || Infinity;
  const told = [`${name.padEnd(10)} ${what}`, `C: ${c}`, `Python: ${python}`]
    .map((line) => wrap(line, width - INDENT.length)).join("\n");
  const indented = told.replaceAll("\n", `\n${INDENT}`);
  explanation.write(`${elapsed.padStart(11)}  ${indented}`);
}

/** Breaks a line that is too wide. */
function wrap(line: string, width: number): string {
  let [text, column] = ["", 0];
  for (const character of line) {
    const columns = character < "\u1100" ? 1 : 2; // from there on many are wide
    column += columns;
    if (column > width) [text, column] = [`${text}\n`, columns];
    text += character;
  }
  return text;
}

stepListeners.push(printStep);
