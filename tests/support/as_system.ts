/**
 * Loaded before a script, as in `--preload tests/support/as_system.ts?windows`:
 * it takes this machine for one with that system. What only that system has is
 * replaced by the next best here.
 *
 * @module
 */
const os = new URL(import.meta.url).search.slice(1);
Object.defineProperty(Deno, "build", { value: { ...Deno.build, os } });

const { addSignalListener } = Deno;
Deno.addSignalListener = (name, handler) =>
  addSignalListener(name === "SIGBREAK" ? "SIGUSR1" : name, handler);
