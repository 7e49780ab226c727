/**
 * A temporary folder.
 *
 * @module
 */

/** A folder for a while. */
export class Folder implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "eject_" });

  text(name: string): string {
    return Deno.readTextFileSync(`${this.path}/${name}`);
  }

  write(name: string, text: string): void {
    Deno.writeTextFileSync(`${this.path}/${name}`, text);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}
