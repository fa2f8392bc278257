/** Ctrl-C, where more is to be told of it than that nothing was sent; everything that aborts is named so. */
export class Interrupted extends Error {
  override readonly name = 'AbortError';
}
