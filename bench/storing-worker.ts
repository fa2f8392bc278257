/** A worker like any other, started as any other: stores what the bench sends. */
import { runWorker, storingWorker } from './runtime.ts';

await runWorker(storingWorker);
