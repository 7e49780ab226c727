// Importing this module prints each socket call on standard error, with the calls
// in C and Python that it stands for. It works with any program:
//
//     deno run --allow-net --preload lib/explain.ts ANY.ts
import { stepListeners } from "./explain/watch.ts";

const INDENT = " ".repeat(13);

/** Where steps are printed; a script puts them into its log. */
export const explanation = { write: (text: string) => console.error(text) };

// Writes a step to standard error, in lines that fit a terminal.
stepListeners.push(({ time, name, what, c, python }) => {
  // An option takes no time: it belongs to the step before.
  const elapsed = name === "option" ? "" : `${time.toFixed(1)} ms`;
  const columns = Deno.stderr.isTerminal() && Deno.consoleSize().columns;
  const told = [`${name.padEnd(10)} ${what}`, `C: ${c}`, `Python: ${python}`]
    .map((line) => wrap(line, (columns || 10_000) - INDENT.length))
    .join("\n").replaceAll("\n", `\n${INDENT}`);
  explanation.write(`${elapsed.padStart(11)}  ${told}`);
});

/** Breaks a line that is too wide; many letters from U+1100 on are two wide. */
function wrap(line: string, width: number): string {
  const most = /[\u1100-\u{10ffff}]/u.test(line) ? width >> 1 : width;
  return line.replace(RegExp(`.{${most}}(?=.)`, "gu"), "$&\n");
}
