/** Sluice's consumer with nothing behind it but, if asked for, a wait: `node sluice-loop.ts [HANDLING_MS]`. */
import { consumeWithoutEffect } from './runtime.ts';

await consumeWithoutEffect(Number(process.argv[2] ?? 0));
