/**
 * The invariants, judged from the database's commit log and the queue's history: never from what a worker claims.
 *
 * It knows what was sent and what must become of it (workload.ts), and is told of every receive, delete, redrive, copy
 * and commit at the instant at which it takes effect. Here is who judges what; each family of invariants has a file of
 * its own, and what the families know of each other is in history.ts.
 */
import type { History } from './history.ts';
import { judgeBatch } from './judge-bounds.ts';
import { judgeCommit } from './judge-commits.ts';
import { judgeCopy, judgeRedrive } from './judge-dead-letters.ts';
import { judgeChange, judgeCommitSent } from './judge-leases.ts';
import { judgeDelete } from './judge-losses.ts';
import { judgeComingAgain, judgeReceiveInOutage } from './judge-outage.ts';
import { judgeSettlement, noteDelete, noteFailedEntry } from './judge-settlement.ts';
import type { DatabaseWitness } from './postgres-model.ts';
import type { DatabaseSurroundings } from './postgres-pool.ts';
import type { QueueWitness } from './sqs-surroundings.ts';

export type Judge = QueueWitness & DatabaseWitness & Pick<DatabaseSurroundings, 'commitSent' | 'keysAsked'>;

export function judgeOf(history: History): Judge {
  return {
    received(receipt) {
      judgeReceiveInOutage(history, receipt);
      history.noteIfPassing(receipt.message);
      const before = receipt.message.receipts.at(-2);
      if (before === undefined) return;
      judgeComingAgain(history, before);
      judgeSettlement(history, before);
    },
    changeAsked: (receipt, seconds) => judgeChange(history, receipt, seconds),
    deleteSent: (receipt) => noteDelete(history, receipt),
    deleteAsked: (receipt) => judgeDelete(history, receipt),
    entryFailed: (receipt) => noteFailedEntry(history, receipt),
    redriven: (message) => judgeRedrive(history, message),
    copied: (copy) => judgeCopy(history, copy),
    malformed: (worker, code) => history.violated('bounds', `${worker} sends a batch that SQS refuses: ${code}`),
    commitSent(process, transaction) {
      history.judged('no deadlock');
      judgeCommitSent(history, process, transaction);
    },
    keysAsked: (process, messageIds) => judgeBatch(history, process, messageIds),
    committed: (transaction) => judgeCommit(history, transaction),
    deadlock: ({ worker }) => history.violated('no deadlock', `the transaction of ${worker} waited in a circle`),
    lockTimeout({ worker }) {
      history.count('state: lock timeout');
      history.incarnations.get(worker)?.faultsAtMs.push(history.nowMs);
    },
  };
}
