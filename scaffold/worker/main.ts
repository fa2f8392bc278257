/** The sample-work worker: every message becomes one row of `sample_work_entries`. */
import { runWorker } from '../../workers/worker.ts';
import { SAMPLE_WORK_SCHEMA, SAMPLE_WORK_VERSION, sampleWorkSchema } from './message.ts';
import { writeSampleWork } from './write.ts';

await runWorker({
  name: 'sample-work',
  message: { name: SAMPLE_WORK_SCHEMA, version: SAMPLE_WORK_VERSION, payload: sampleWorkSchema },
  key: ({ id }) => id,
  write: writeSampleWork,
});
