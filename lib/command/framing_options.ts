// The options of both TCP scripts: where messages end, how a pipe is carried.
import { type Framing, parseFraming } from "../framing.ts";
import { option, refuse, size, text, toggle, usage } from "./options.ts";

/** Where one message ends and the next begins. */
export const FRAMING_OPTIONS = {
  framing: option("FRAMING", "see below (raw)", text, undefined, "f"),
  maxFrame: option("SIZE", "longest message (64k)", size),
};

/** How standard input is sent and how what comes is printed. */
export const PIPE_OPTIONS = {
  noStdin: toggle("send nothing, only listen"),
  crlf: toggle("end lines with CRLF"),
  hex: toggle("show both directions in hexadecimal"),
};

/** Finds the framing that is asked for; refuses what does not go with it. */
export function framingFrom(
  values: { framing?: string; maxFrame?: number; crlf?: boolean },
  fallback = "raw",
): Framing {
  const { framing: name = fallback, maxFrame: maxFrameLength, crlf } = values;
  refuse({
    "--max-frame needs a --framing": maxFrameLength && name === "raw",
    "--crlf goes with raw and lines only": crlf && !/^(raw|lines)$/.test(name),
  });
  return usage(() => parseFraming(name, { maxFrameLength }));
}
