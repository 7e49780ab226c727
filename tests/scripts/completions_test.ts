/** What --completions prints, given to the shells that it is for. */
import { assertEquals, assertMatch } from "@std/assert";
import { installed, run, Running } from "../support/helpers.ts";

/** Runs a shell that knows what --completions has printed for it. */
async function inShell(shell: string, script: string): Promise<string> {
  const asked = await run("tcp_server.ts", ["--completions", shell]);
  assertEquals([asked.code, asked.stderr], [0, ""]);
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, asked.stdout);
    await using running = new Running(shell, ["-c", script], {
      env: { COMPLETIONS: file },
    });
    const { code, stdout, stderr } = await running.ended();
    assertEquals(code, 0, stdout + stderr);
    return stdout;
  } finally {
    await Deno.remove(file);
  }
}

/** What is typed before Tab, in the words that bash makes of it. */
const TYPED: [string, string][] = [
  ["--mo", "--mode"],
  ["--mode c", "chat chargen"],
  ["-m c", "chat chargen"],
  ["--mode = c", "chat chargen"],
  ["--once --mode =", "echo greet chat room discard chargen"],
  ["-f u3", "u32 u32le"],
  ["--c", "--cert --completions"],
  ["127.0.0.1:80 --idle", "--idle-timeout"],
  ["--cert ", ""], // for bash itself to offer files
  ["127", ""],
];

Deno.test(
  "tcp_server.ts completes its options when bash reads its --completions",
  {
    ignore: !installed("bash", "--version"),
  },
  async () => {
    const script = TYPED.map(([words]) => `
COMP_WORDS=(tcp_server ${words.replace(/ $/, ' ""')})
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
_tcp_server
echo "\${COMPREPLY[@]}"`);
    const said = await inShell(
      "bash",
      `source "$COMPLETIONS"; complete -p tcp_server.ts${script.join("")}`,
    );
    const [registered, ...offered] = said.split("\n");
    assertMatch(registered, /-F _tcp_server tcp_server\.ts$/);
    assertEquals(offered, [...TYPED.map(([, words]) => words), ""]);
  },
);

Deno.test(
  "tcp_server.ts completes its options when fish reads its --completions",
  {
    ignore: !installed("fish", "--version"),
  },
  async () => {
    const script = `source $COMPLETIONS
complete -C 'tcp_server --mo'; complete -C 'tcp_server.ts -m c'`;
    const offered = (await inShell("fish", script)).trimEnd().split("\n");
    assertEquals(offered.map((line) => line.split("\t")[0]), [
      ...["--mode", "chargen", "chat"],
    ]);
  },
);

Deno.test(
  "tcp_server.ts completes its options when zsh reads its --completions",
  {
    ignore: !installed("zsh", "--version"),
  },
  async () => {
    // A terminal, and somebody who types Tab in it.
    const script = `
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "source $COMPLETIONS; echo rea''dy"
zpty -r -m shell seen '*ready*'
zpty -w -n shell $'tcp_server --mo\\t'
zpty -r -m shell seen '*--mode*'
zpty -w -n shell $'charg\\t'
zpty -r -m shell seen '*chargen*' && echo completed
zpty -d shell`;
    assertEquals(await inShell("zsh", script), "completed\n");
  },
);
