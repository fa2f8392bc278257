/**
 * Where Node keeps the code that it has compiled, types stripped, from one start to the next: a third of a start is
 * compiling.
 *
 * Beside the packages, as their tools do it, and not in the temporary folder, of which a run promises to leave nothing.
 * Node checks every entry against its source, and goes on without a cache where it may not write.
 */
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

/** For NODE_COMPILE_CACHE, by which a process that is started has it too. */
export const COMPILE_CACHE_FOLDER = fileURLToPath(new URL('../node_modules/.cache/sluice-compiled', import.meta.url));

export function keepCompiledCode(): void {
  enableCompileCache(COMPILE_CACHE_FOLDER);
}
