/**
 * What a message to the sample-work queue says: the body is `{ schema, version, payload }`, and this is the payload.
 *
 * Holds always: whatever this schema accepts, PostgreSQL can store.
 *
 * A change that old workers can still read adds an optional field and keeps the version. A change that they cannot read
 * raises `SAMPLE_WORK_VERSION`; workers retry a version newer than their own, so deploy the workers first and whoever
 * sends after them.
 */
import { z } from 'zod';
import { identifier, storableText } from '../../workers/messages/storable.ts';

export const SAMPLE_WORK_SCHEMA = 'sample-work';
export const SAMPLE_WORK_VERSION = 1;

export const sampleWorkSchema = z.object({
  /** The idempotency key: what is sent again under it has its effect once. */
  id: identifier,
  note: storableText(4096),
});

export type SampleWorkMessage = z.infer<typeof sampleWorkSchema>;
