/**
 * What a terminal shows.
 *
 * @module
 */

/** What one part of a terminal's output is: a sequence, or a character. */
// deno-lint-ignore no-control-regex
const PART_REGEXP = /\x1b\[([\d;?]*)([A-Za-z])|[^]/gu;

/**
 * Gives the lines that a person sees on a terminal that got this output: as
 * much of a terminal as `node:readline` and our scripts make use of.
 */
export function screenOf(output: string, columns = Infinity): string {
  const rows: string[][] = [[]];
  let [row, column] = [0, 0];
  const line = (at: number) => {
    while (rows.length <= at) rows.push([]);
    return rows[at];
  };
  for (const [part, parameter, command] of output.matchAll(PART_REGEXP)) {
    const count = Number(parameter || 1);
    if (part === "\r") column = 0;
    else if (part === "\n") [row, column] = [row + 1, 0];
    else if (command === "A") row = Math.max(0, row - count);
    else if (command === "B") row += count;
    else if (command === "C") column += count;
    else if (command === "D") column = Math.max(0, column - count);
    else if (command === "G") column = Math.max(0, count - 1);
    else if (command === "J") {
      line(row).length = Math.min(line(row).length, column);
      rows.length = row + 1;
    } else if (command === "K") {
      line(row).length = parameter === "2"
        ? 0
        : Math.min(line(row).length, column);
    } else if (command === undefined && part !== "\x07") {
      if (column >= columns) [row, column] = [row + 1, 0];
      while (line(row).length < column) line(row).push(" ");
      line(row)[column++] = part;
    }
    line(row);
  }
  return rows.map((characters) => characters.join("")).join("\n");
}
