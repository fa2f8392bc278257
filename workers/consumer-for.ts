/**
 * Joins the runtime (SQS) to the store (PostgreSQL) for one kind of message. Everything that touches the world is
 * handed in: the process hands in the real parts, a simulator its models.
 */
import type { Logger } from 'pino';
import { Consumer } from './runtime/consumer.ts';
import type { MessageSchema } from './runtime/envelope.ts';
import type { QueueClient, QueueFacts } from './runtime/queue-client.ts';
import type { Surroundings } from './runtime/surroundings.ts';
import type { Telemetry } from './runtime/telemetry.ts';
import { InboxWriter, type Write } from './store/inbox-writer.ts';
import { acceptsWrites, recordRejection } from './store/rejections.ts';
import type { RenewedPool } from './store/renewed-pool.ts';

export interface WorkerDefinition<Payload> {
  /** Names the worker in logs, metrics and the inbox; never change it once it has run. */
  readonly name: string;
  readonly message: MessageSchema<Payload>;
  /** The idempotency key: two messages with the same key are the same work. */
  readonly key: (payload: Payload) => string;
  /** What of a payload is the work itself; under one key it must never differ. @default all of it */
  readonly work?: (payload: Payload) => unknown;
  readonly write: Write<Payload>;
  /**
   * What a rejected message does to its group on a FIFO queue: `skip` lets the next one go on; `halt` stores nothing more
   * of the group, and rejects what comes, until a person has looked (docs/operations.md). Halting takes one message of a
   * group at a time. @default skip
   */
  readonly onRejection?: 'skip' | 'halt';
}

export interface WorkerParts {
  readonly queue: QueueClient;
  readonly facts: QueueFacts;
  /** The queue's name, for people and for the dead-letter copy. */
  readonly queueName: string;
  readonly pool: RenewedPool;
  readonly telemetry: Telemetry;
  readonly log: Logger;
  readonly surroundings: Surroundings;
}

export function consumerFor<Payload>(definition: WorkerDefinition<Payload>, parts: WorkerParts): Consumer<Payload> {
  const { pool, ...rest } = parts;
  const { name: consumer, message: schema, key, write, work = (payload) => payload, onRejection = 'skip' } = definition;
  // Sequence numbers begin anew in another queue of the same name.
  const fence = `${parts.queueName}@${parts.facts.createdTimestamp}`;
  const writer = new InboxWriter({ pool, consumer, fence, key, work, write });
  return new Consumer<Payload>({
    ...rest,
    schema,
    onRejection,
    handle: (messages, claims) => writer.commit(messages, claims),
    recordRejection: (rejection) => recordRejection(pool, fence, rejection),
    probe: () => acceptsWrites(pool, consumer),
  });
}
