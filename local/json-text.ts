/** Text that may be JSON, from whoever wrote it: what it holds is for a schema to say. */

/** Undefined where it is none. */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
