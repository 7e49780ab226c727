// Lets the page of explain type into a chat: what is entered there goes the way
// of a line that is typed.

/** The keyboard of the chat, if there is one, and who waits for it. */
export const keyboard = {
  /** Types a line; gives why it is not sent, if it is not. */
  type: undefined as ((line: string) => string) | undefined,
  onPlugged() {},
};

/** Hands over the keyboard of a chat. */
export function plugKeyboard(type: (line: string) => string): void {
  keyboard.type = type;
  keyboard.onPlugged();
}

/** Has an input give the lines of the page, too, as they are entered. */
export function typeInto(input: AsyncIterator<Uint8Array, void>): void {
  const read = input.next.bind(input);
  const lines: string[] = [];
  let entered = Promise.withResolvers<void>();
  let next: ReturnType<typeof read> | undefined;
  let isEmpty = true;
  plugKeyboard((line) => {
    lines.push(line);
    entered.resolve();
    return "";
  });
  input.next = async () => {
    await Promise.race([entered.promise, next ??= read()]);
    const line = lines.shift();
    if (lines.length === 0) entered = Promise.withResolvers();
    if (line !== undefined) return { value: new TextEncoder().encode(line) };
    const result = await next;
    // Where there is no input at all, the page is the only keyboard.
    next = result.done && isEmpty ? new Promise(() => {}) : undefined;
    if (next) return await input.next();
    if (result.done) plugKeyboard(() => "the input has ended");
    isEmpty = false;
    return result;
  };
}
