/**
 * What `--help` prints.
 *
 * @module
 */
import type { Entry } from "./arguments.ts";

/** A command, as far as its help is concerned. */
export interface Described {
  /** Name of the script, without its ending. */
  name: string;
  /** What it does, in a line. */
  summary: string;
  /** Positionals, as the usage line shows them. */
  positionals: string;
  /** Its own options, by name. */
  options: object;
  /** What stands above an option, where a group of them begins. */
  headings: { readonly [name: string]: string | undefined };
  /** What comes after the options: permission, examples. */
  epilogue: string;
}

/** An option, as far as the help is concerned. */
export interface DescribedOption extends Entry {
  /** Its name in the table of options. */
  name: string;
  /** What it does, in a few words. */
  help: string;
}

/**
 * Writes the help of a command: its own options in groups, one a line, and
 * below them those that every script has.
 *
 * @param command The command.
 * @param entries All its options.
 * @returns Lines of up to 80 columns.
 */
export function helpText(
  command: Described,
  entries: readonly DescribedOption[],
): string {
  const { options, headings } = command;
  const own = entries.filter(({ name }) => name in options);
  const indent = own.some(({ short }) => short) ? 5 : 2;
  const left = own.map((entry) =>
    " ".repeat(entry.short ? 2 : indent) + flags(entry)
  );
  const width = Math.max(...left.map(({ length }) => length)) + 2;
  const rows = own.map(({ name, help }, i) => {
    const heading = headings[name] === undefined ? "" : `${headings[name]}:\n`;
    return `${heading}${left[i].padEnd(width)}${help}\n`;
  });
  const common = entries.filter((entry) => !own.includes(entry)).map((entry) =>
    entry.short || entry.value
      ? flags(entry)
      : `${flags(entry)} (${entry.help})`
  );
  return `${command.summary}

Usage: ${command.name}.ts [options] ${command.positionals}

${rows.join("")}Every script:
${common.join("  ").replace(/(.{1,78})(?: {2}|$)/g, "  $1\n")}
${command.epilogue.trim()}
`;
}

function flags({ flag, short, value }: Entry): string {
  return `${short ? `-${short} ` : ""}--${flag}${value ? ` ${value}` : ""}`;
}
