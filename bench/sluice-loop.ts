/** Sluice's consumer with nothing behind it: the process that is measured against bare-loop.ts. */
import { consumeWithoutEffect } from './runtime.ts';

await consumeWithoutEffect();
