/**
 * What a shell has to know to complete a command's options:
 * `source <(tcp_server --completions bash)`, and `zsh` likewise, or
 * `tcp_server --completions fish | source`.
 *
 * @module
 */
import type { Entry } from "./arguments.ts";

/** A shell that can be told. */
export type Shell = "bash" | "zsh" | "fish";

/** An option, as far as a shell is concerned. */
export interface Completed extends Entry {
  /** What it does, in a few words. */
  help: string;
  /** Words that it takes as its value. */
  words?: readonly string[];
}

/**
 * Writes what a shell reads to complete the options of a command, and their
 * values where these are words of a list or files.
 *
 * @param shell Which shell.
 * @param name What the command is called; with `.ts` as well.
 * @param entries Its options.
 * @returns A script for that shell.
 *
 * @example
 * ```ts
 * import { assertStringIncludes } from "@std/assert";
 *
 * const mode = { flag: "mode", value: "MODE", help: "how", words: ["a", "b"] };
 * const script = completions("fish", "sleeper", [mode]);
 * assertStringIncludes(script, "-l mode -x -a 'a b' -d 'how'\n");
 * ```
 */
export function completions(
  shell: Shell,
  name: string,
  entries: readonly Completed[],
): string {
  if (shell === "fish") return fish(name, entries);
  // Zsh reads what is written for bash, once it is told to.
  const prelude = shell === "zsh"
    ? "autoload -U +X compinit bashcompinit\n" +
      "(( $+functions[compdef] )) || compinit\nbashcompinit\n"
    : "";
  return prelude + bash(name, entries);
}

function bash(name: string, entries: readonly Completed[]): string {
  const flags = entries.map(({ flag }) => `--${flag}`).join(" ");
  const cases = entries.map(({ flag, short, words }) => {
    const option = short === undefined ? `--${flag}` : `-${short}|--${flag}`;
    return words === undefined
      ? ""
      : `    ${option}) words="${words.join(" ")}" ;;\n`;
  });
  // Where nothing is offered, the shell offers files.
  return `_${name}() {
  local word="\${COMP_WORDS[COMP_CWORD]}" words=
  local before="\${COMP_WORDS[COMP_CWORD-1]}"
  # --mode=c comes as three words.
  [[ $word == = ]] && word=
  [[ $before == = ]] && before="\${COMP_WORDS[COMP_CWORD-2]}"
  case $before in
${cases.join("")}    *) [[ $word == -* ]] && words="${flags}" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _${name} ${name} ${name}.ts
`;
}

function fish(name: string, entries: readonly Completed[]): string {
  const lines = entries.map(({ flag, short, value, help, words }) => {
    const letter = short === undefined ? "" : ` -s ${short}`;
    const offered = words === undefined ? "" : ` -a '${words.join(" ")}'`;
    const takes = value === undefined ? "" : value === "FILE" ? " -r" : " -x";
    const about = help.replaceAll(/[\\']/g, "\\$&");
    return `  complete -c $command -l ${flag}${letter}${takes}${offered} -d '${about}'\n`;
  });
  return `for command in ${name} ${name}.ts\n${lines.join("")}end\n`;
}
