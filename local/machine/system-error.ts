/**
 * What the operating system says in an error: whether its code is one of these, such as ENOENT.
 *
 * By its shape and not by its class: under Jest the classes of Node's own errors are not those of the test.
 */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  const code = codeOf(error);
  return code !== undefined && codes.includes(code);
}

export function codeOf(error: unknown): string | undefined {
  const hasText = typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string';
  return hasText ? String(error.code) : undefined;
}
