/** The whole suite, in the order of the table. */
import type { ConformanceCase } from './case.ts';
import { batchCases } from './cases/batches.ts';
import { deadLetterCases } from './cases/dead-letters.ts';
import { fifoCases } from './cases/fifo.ts';
import { receivingCases } from './cases/receiving.ts';
import { sendingCases } from './cases/sending.ts';
import { visibilityCases } from './cases/visibility.ts';

export const CASES: readonly ConformanceCase[] = [
  ...sendingCases,
  ...receivingCases,
  ...visibilityCases,
  ...batchCases,
  ...deadLetterCases,
  ...fifoCases,
];
