/** Faults that a person could write into the workers, each with the invariants that must catch it. */
import type { Mutant } from './mutant.ts';

const CONSUMER = 'runtime/consumer.ts';
const SETTLING = 'runtime/settling.ts';
const QUEUE_CLIENT = 'runtime/queue-client.ts';
const INBOX_WRITER = 'store/inbox-writer.ts';
const LEASE_KEEPER = 'runtime/lease-keeper.ts';
const HAND = 'runtime/hand.ts';
const ADMISSION = 'runtime/admission.ts';
const BATCHER = 'runtime/batcher.ts';

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'delete before the commit',
    edits: [
      {
        file: CONSUMER,
        from: 'const decided = await this.#attempts.decide(batch);',
        to: `await Promise.all(batch.map(({ message }) => this.#settlement.delete(message.receiptHandle)));
    const decided = await this.#attempts.decide(batch);`,
      },
    ],
    caughtBy: ['no loss'],
    seed: 1,
  },
  {
    name: 'delete when the write starts',
    edits: [
      {
        file: CONSUMER,
        from: 'const decided = await this.#attempts.decide(batch);',
        to: `for (const { message } of batch) void this.#settlement.delete(message.receiptHandle);
    const decided = await this.#attempts.decide(batch);`,
      },
    ],
    caughtBy: ['no loss'],
    seed: 1,
  },
  {
    name: 'a lost commit counts as success',
    edits: [
      {
        file: INBOX_WRITER,
        from: "await client.query('commit');",
        to: "await client.query('commit').catch(() => ({ command: 'COMMIT' }));",
      },
    ],
    caughtBy: ['no loss'],
    seed: 4,
  },
  {
    name: 'a commit that was answered with a rollback counts',
    edits: [
      {
        file: INBOX_WRITER,
        from: "client.getTransactionStatus() !== 'T'",
        to: "client.getTransactionStatus() === 'I'",
      },
      { file: INBOX_WRITER, from: "return command === 'COMMIT';", to: 'return command !== undefined;' },
    ],
    caughtBy: ['no loss'],
    seed: 27,
  },
  {
    name: 'a lost connection counts as bad data',
    edits: [
      {
        file: 'store/database-failure.ts',
        from: "isFault ? 'fault' : 'away'",
        to: "isFault ? 'fault' : 'data'",
      },
    ],
    caughtBy: ['dead letters are earned'],
    seed: 7,
  },
  {
    name: 'keys and rows in two transactions',
    edits: [
      {
        file: INBOX_WRITER,
        from: 'if (fresh.length > 0) await this.#write(client, fresh, signal);',
        to: "await client.query('commit'); await client.query('begin isolation level read committed'); if (fresh.length > 0) await this.#write(client, fresh, signal);",
      },
    ],
    caughtBy: ['effect'],
    seed: 1,
  },
  {
    name: 'no removal of duplicates inside a batch',
    edits: [
      {
        file: INBOX_WRITER,
        from: 'const fresh = [...firsts].filter(([key]) => inserted.has(key)).map(([, { message }]) => message.payload);',
        to: 'const fresh = [...keyed.values()].filter(({ key }) => inserted.has(key)).map(({ message }) => message.payload);',
      },
    ],
    caughtBy: ['effect'],
    seed: 6,
  },
  {
    name: 'keys are not sorted',
    edits: [
      {
        file: INBOX_WRITER,
        from: 'messages.toSorted((one, other) => (one.key < other.key ? -1 : 1))',
        to: '[...messages]',
      },
    ],
    caughtBy: ['no deadlock'],
    seed: 691,
  },
  {
    name: 'a conflict is a duplicate, whatever its payload',
    edits: [
      {
        file: INBOX_WRITER,
        from: 'if (!committedHash.equals(hash)) return keyReused;',
        to: 'if (hash.length === 0) return keyReused;',
      },
    ],
    caughtBy: ['no loss'],
    seed: 6,
  },
  {
    name: 'bisection while the database is away',
    edits: [
      { file: INBOX_WRITER, from: "if (result.name === 'away') return", to: 'if (messages.length === 0) return' },
    ],
    caughtBy: ['outage', 'dead letters are earned'],
    seed: 12,
  },
  {
    name: 'bisection drops the good half',
    edits: [
      {
        file: INBOX_WRITER,
        from: 'const freeOutcomes = await this.commit(free, claims);',
        to: "const freeOutcomes = free.map((): Outcome => ({ name: 'stored' }));",
      },
    ],
    caughtBy: ['no loss'],
    seed: 1,
  },
  {
    name: 'the handle is the id of a batch entry',
    edits: [{ file: QUEUE_CLIENT, from: 'Id: String(index), ReceiptHandle', to: 'Id: receiptHandle, ReceiptHandle' }],
    caughtBy: ['bounds'],
    seed: 1,
  },
  {
    name: 'failed entries are ignored',
    edits: [{ file: QUEUE_CLIENT, from: "message = '' } of failed) {", to: "message = '' } of failed.slice(0, 0)) {" }],
    caughtBy: ['settlement'],
    seed: 131,
  },
  {
    name: 'results are matched by position',
    edits: [
      {
        file: QUEUE_CLIENT,
        from: "for (const { Id: id, SenderFault: senderFault, Code: code = '', Message: message = '' } of failed) {",
        to: "for (const [id, { SenderFault: senderFault, Code: code = '', Message: message = '' }] of failed.entries()) {",
      },
    ],
    caughtBy: ['settlement'],
    seed: 131,
  },
  {
    name: 'leases are never extended',
    edits: [
      {
        file: LEASE_KEEPER,
        from: 'await this.extend(due.map((receiptHandle) => ({ receiptHandle, visibilityTimeoutSeconds })));',
        to: 'void due;',
      },
    ],
    caughtBy: ['outage'],
    seed: 1200,
  },
  {
    name: 'extensions add up',
    edits: [
      {
        file: LEASE_KEEPER,
        from: 'await queue.changeVisibilityBatch(extensions);',
        to: `await queue.changeVisibilityBatch(extensions.map(({ receiptHandle, visibilityTimeoutSeconds }) => ({
          receiptHandle,
          visibilityTimeoutSeconds:
            visibilityTimeoutSeconds + Math.ceil((leases.leftMs(receiptHandle, requestSentAtMs) ?? 0) / 1000),
        })));`,
      },
    ],
    caughtBy: ['lease'],
    seed: 14,
  },
  {
    name: 'a lease counts from the answer to its extension',
    edits: [
      {
        file: LEASE_KEEPER,
        from: 'leases.extended(receiptHandle, requestSentAtMs, seconds, answeredAtMs);',
        to: 'leases.extended(receiptHandle, answeredAtMs, seconds, requestSentAtMs);',
      },
    ],
    caughtBy: ['lease'],
    seed: 965,
  },
  {
    name: 'a heartbeat after giving back',
    edits: [{ file: 'runtime/lease-table.ts', from: "lease.state = 'returning';", to: '' }],
    caughtBy: ['lease'],
    seed: 581,
  },
  {
    name: 'a later message is started while an earlier one is unknown',
    edits: [
      {
        file: INBOX_WRITER,
        from: 'second.filter(({ group }) => group === undefined || !waiting.has(group.id));',
        to: 'second;',
      },
    ],
    caughtBy: ['order', 'dead letters are earned'],
    seed: 14,
  },
  {
    name: 'a group on several connections',
    edits: [
      {
        file: HAND,
        from: '(this.#facts.fifo ? message.messageGroupId : undefined) ?? message.receiptHandle',
        to: 'message.receiptHandle',
      },
    ],
    caughtBy: ['order', 'dead letters are earned'],
    seed: 30,
  },
  {
    name: 'delete before the dead-letter copy is there',
    edits: [
      {
        file: SETTLING,
        from: 'await this.#copy(delivery, rejection);',
        to: 'void this.#copy(delivery, rejection).catch(() => {});',
      },
    ],
    caughtBy: ['no loss'],
    seed: 5,
  },
  {
    name: 'polling while the breaker is open',
    edits: [
      {
        file: CONSUMER,
        from: "if (this.#outage.state === 'closed') return",
        to: "if (this.#outage.state !== 'half-open') return",
      },
    ],
    caughtBy: ['outage'],
    seed: 38,
  },
  {
    name: 'places are leaked when a receive brings nothing',
    edits: [
      {
        file: HAND,
        from: 'this.#admission.arrived(deliveries.length, bytes);',
        to: 'if (deliveries.length > 0) this.#admission.arrived(deliveries.length, bytes);',
      },
    ],
    caughtBy: ['bounds', 'liveness'],
    seed: 1,
  },
  {
    name: 'a drain does not wait for deletes',
    edits: [
      {
        file: CONSUMER,
        from: 'while (!isOver && (this.#polls.size > 0 || this.#hand.size > 0))',
        to: 'while (!isOver && this.#polls.size > 0)',
      },
    ],
    caughtBy: ['drain'],
    seed: 119,
  },
  {
    name: 'a commit without a lease',
    edits: [
      {
        file: INBOX_WRITER,
        from: 'if (outcomes === undefined || lost.length > 0) {',
        to: 'if (outcomes === undefined) {',
      },
    ],
    caughtBy: ['lease'],
    seed: 283,
  },
  {
    name: 'a copy before its reason is recorded',
    edits: [
      { file: SETTLING, from: 'await this.#record(rejection);', to: 'void this.#record(rejection).catch(() => {});' },
    ],
    caughtBy: ['dead letters are earned'],
    seed: 7,
  },
  {
    name: 'the outage is never over',
    edits: [
      {
        file: 'runtime/outage.ts',
        from: 'if (await probe()) {',
        to: 'if ((await probe()) && this.#options === undefined) {',
      },
    ],
    caughtBy: ['liveness'],
    seed: 11,
  },
  {
    name: 'what failed at its last receive is given back',
    edits: [{ file: SETTLING, from: 'receiveCount >= maxReceiveCount;', to: 'receiveCount > 1_000;' }],
    caughtBy: ['dead letters are earned'],
    seed: 617,
  },
  {
    name: 'suspects are handled with others',
    edits: [
      {
        file: 'runtime/batcher.ts',
        from: 'return receiveCount >= this.#limits.suspectReceives;',
        to: 'return receiveCount > 1_000;',
      },
    ],
    caughtBy: ['dead letters are earned'],
    seed: 180,
  },
  {
    name: 'suspects are not set apart',
    edits: [
      {
        file: CONSUMER,
        from: 'if (!this.#batcher.isSuspectUnderWay) return;',
        to: 'if (this.#batcher !== undefined) return;',
      },
    ],
    caughtBy: ['dead letters are earned'],
    seed: 10162,
  },
  {
    name: 'a halted group goes on',
    edits: [{ file: INBOX_WRITER, from: 'if (haltedBy !== null)', to: "if (haltedBy === '')" }],
    caughtBy: ['order'],
    seed: 1,
  },
  {
    name: 'kept for too long although the database is back',
    edits: [
      {
        file: 'runtime/outage.ts',
        from: `      !this.#breaker.admits &&
`,
        to: '',
      },
      { file: CONSUMER, from: 'if (this.#hand.size === 0) this.#outage.nothingKept();', to: '' },
    ],
    caughtBy: ['liveness', 'dead letters are earned'],
    seed: 5499,
  },
  {
    name: 'a drain without a deadline',
    edits: [
      {
        file: CONSUMER,
        from: 'await Promise.race([this.#woken(), deadline]);',
        to: 'await Promise.race([this.#woken(), new Promise(() => deadline)]);',
      },
    ],
    caughtBy: ['drain'],
    seed: 137,
  },
  {
    name: 'those behind a head that comes again are written all the same',
    edits: [
      {
        file: SETTLING,
        from: 'await this.giveBack(tail, () => delaySeconds);',
        to: 'return { again: tail, tailDelaySeconds: undefined };',
      },
    ],
    caughtBy: ['order'],
    seed: 14,
  },
  {
    name: 'the fence is removed',
    edits: [
      {
        file: INBOX_WRITER,
        from: 'BigInt(group.sequenceNumber) <= BigInt(fence.previous_sequence ?? -1)',
        to: 'BigInt(group.sequenceNumber) < 0n',
      },
    ],
    caughtBy: ['order'],
    seed: 150062,
  },
  {
    name: 'those behind a head are shown before its delay is over',
    edits: [
      {
        file: SETTLING,
        from: 'await this.giveBack(tail, () => delaySeconds);',
        to: 'await this.giveBack(tail, () => 0);',
      },
    ],
    caughtBy: ['order'],
    seed: 5,
  },
  {
    name: 'those behind a lost lease are written all the same',
    edits: [
      {
        file: INBOX_WRITER,
        from: " || outcome.name === 'lost') waiting.set",
        to: ') waiting.set',
      },
    ],
    caughtBy: ['order'],
    seed: 3199,
  },
  {
    name: 'messages without admission',
    edits: [
      {
        file: ADMISSION,
        from: 'return this.#freeMessages >= MESSAGES_PER_RECEIVE_MAX && this.#freeBytes',
        to: 'return this.#freeBytes',
      },
    ],
    caughtBy: ['bounds'],
    seed: 2718,
  },
  {
    name: 'bytes without admission',
    edits: [{ file: ADMISSION, from: ' && this.#freeBytes >= this.#bytesPerReceive;', to: ';' }],
    caughtBy: ['bounds'],
    seed: 2431,
  },
  {
    name: 'polls without a limit',
    edits: [{ file: 'runtime/poller-control.ts', from: 'POLLS_MAX = 16;', to: 'POLLS_MAX = 1_000;' }],
    caughtBy: ['bounds'],
    seed: 2718,
  },
  {
    name: 'batches without a limit',
    edits: [{ file: BATCHER, from: '  batches: 3,', to: '  batches: 300,' }],
    caughtBy: ['bounds'],
    seed: 27,
  },
  {
    name: 'a batch of any number of messages',
    edits: [{ file: BATCHER, from: '  messages: 100,', to: '  messages: 10_000,' }],
    caughtBy: ['bounds'],
    seed: 2718,
  },
  {
    name: 'a batch of any size',
    edits: [{ file: BATCHER, from: 'bytes: 8 * 1_048_576,', to: 'bytes: 800 * 1_048_576,' }],
    caughtBy: ['bounds'],
    seed: 556,
  },
  {
    name: 'rejections without a limit',
    edits: [{ file: SETTLING, from: 'REJECTIONS_UNDER_WAY_MAX = 8;', to: 'REJECTIONS_UNDER_WAY_MAX = 80_000;' }],
    caughtBy: ['bounds'],
    seed: 166,
  },
  {
    name: 'a delete is asked for without end',
    edits: [{ file: 'runtime/settlement.ts', from: 'SETTLE_ATTEMPTS_MAX = 5;', to: 'SETTLE_ATTEMPTS_MAX = 500;' }],
    caughtBy: ['bounds'],
    seed: 13620,
  },
  {
    name: 'short polls',
    edits: [{ file: QUEUE_CLIENT, from: 'LONG_POLL_SECONDS = 20;', to: 'LONG_POLL_SECONDS = 1;' }],
    caughtBy: ['cost'],
    seed: 170,
  },
];
