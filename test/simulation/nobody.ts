/** Judges nothing: for whoever looks at the answers of the queue's model, and not at what it sees by itself. */
import type { QueueWitness } from './sqs-surroundings.ts';

export const nobody: QueueWitness = {
  received() {},
  deleteAsked() {},
  redriven() {},
  copied() {},
  deleteSent() {},
  changeAsked() {},
  entryFailed() {},
  malformed() {},
};
