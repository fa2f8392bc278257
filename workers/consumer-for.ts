/**
 * Joins the runtime (SQS) to the store (PostgreSQL) for one kind of message. Everything that touches the world is
 * handed in: the process hands in the real parts, a simulator its models.
 */
import type pg from 'pg';
import type { Logger } from 'pino';
import { Consumer } from './runtime/consumer.ts';
import type { MessageSchema } from './runtime/envelope.ts';
import type { QueueClient, QueueFacts } from './runtime/queue-client.ts';
import type { Surroundings } from './runtime/surroundings.ts';
import type { Telemetry } from './runtime/telemetry.ts';
import { InboxWriter, type Write } from './store/inbox-writer.ts';
import { acceptsWrites, recordRejection } from './store/rejections.ts';

export interface WorkerDefinition<Payload> {
  /** Names the worker in logs, metrics and the inbox; never change it once it has run. */
  readonly name: string;
  readonly message: MessageSchema<Payload>;
  /** The idempotency key: two messages with the same key are the same work. */
  readonly key: (payload: Payload) => string;
  /** What of a payload is the work itself; under one key it must never differ. @default all of it */
  readonly work?: (payload: Payload) => unknown;
  readonly write: Write<Payload>;
}

export interface WorkerParts {
  readonly queue: QueueClient;
  readonly facts: QueueFacts;
  /** The queue's name, for people and for the dead-letter copy. */
  readonly queueName: string;
  readonly pool: pg.Pool;
  readonly telemetry: Telemetry;
  readonly log: Logger;
  readonly surroundings: Surroundings;
}

export function consumerFor<Payload>(definition: WorkerDefinition<Payload>, parts: WorkerParts): Consumer<Payload> {
  const { pool, ...rest } = parts;
  const writer = new InboxWriter(pool, definition.name, definition.write, definition.work);
  return new Consumer<Payload>({
    ...rest,
    schema: definition.message,
    handle: (messages, mayCommit) =>
      writer.commit(
        messages.map(({ payload, messageGroupId }) => ({
          key: definition.key(payload),
          payload,
          group: messageGroupId,
        })),
        mayCommit,
      ),
    recordRejection: (rejection) => recordRejection(pool, rejection),
    probe: () => acceptsWrites(pool),
  });
}
