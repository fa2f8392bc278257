/**
 * A queue with its dead-letter queue, as SQS documents them; where the documentation is silent or allows both, chance
 * decides for each call.
 *
 * It is the service: it knows no network (sqs-client.ts loses requests and answers) and calls back when it answers. Here
 * messages come in and move from queue to queue; receives are in sqs-polls.ts, what a handle can do in sqs-handles.ts.
 *
 * Holds always: what is sent to a FIFO queue again within five minutes, under the same id, is not there twice; a message
 * that moves is in one queue at a time.
 */
import { hash } from 'node:crypto';
import { FiveMinutes } from './five-minutes.ts';
import { type Arrival, Contents } from './sqs-contents.ts';
import { Handles } from './sqs-handles.ts';
import type { DeadLetterCopy, MessageAttributes, Receipt, StoredMessage } from './sqs-message.ts';
import { Polls, type ReceiveRequest } from './sqs-polls.ts';
import { ServiceError } from './sqs-service-error.ts';
import type { QueueSettings, QueueSurroundings } from './sqs-surroundings.ts';
import type { Sent } from './workload.ts';

export interface Sending {
  readonly body: string;
  readonly attributes: MessageAttributes;
  readonly group: string | undefined;
  readonly deduplicationId: string | undefined;
  readonly delaySeconds: number | undefined;
}

export class SqsModel {
  readonly copies: DeadLetterCopy[] = [];
  /** A queue of its own, where someone is to receive from it. */
  deadLetterQueue: SqsModel | undefined;
  readonly handles: Handles;
  readonly #around: QueueSurroundings;
  readonly #contents: Contents;
  readonly #polls: Polls;
  readonly #sentBefore: FiveMinutes<StoredMessage>;
  readonly #copiedBefore: FiveMinutes<DeadLetterCopy>;

  constructor(around: QueueSurroundings) {
    this.#around = around;
    this.#contents = new Contents(around, (message) => this.#due(message));
    this.#polls = new Polls(around, this.#contents, (message) => this.#redrive(message));
    this.handles = new Handles(around, this.#contents, this.#polls);
    this.#sentBefore = new FiveMinutes(around.scheduler);
    this.#copiedBefore = new FiveMinutes(around.scheduler);
  }

  get settings(): QueueSettings {
    return this.#around.settings;
  }

  get messages(): readonly StoredMessage[] {
    return this.#contents.messages;
  }

  find(messageId: string): StoredMessage | undefined {
    return this.#contents.messages.find((message) => message.messageId === messageId);
  }

  get isEmpty(): boolean {
    return this.#contents.source.size === 0;
  }

  census(): ReturnType<Contents['census']> {
    return this.#contents.census();
  }

  accept(sent: Sent): void {
    this.#add({ messageId: `m${sent.index}`, sent, group: sent.work.group });
  }

  /** By a client, to the queue itself. @returns the message, or the one of the last five minutes that it repeats. */
  send({ body, attributes, group = '', deduplicationId, delaySeconds }: Sending): StoredMessage {
    const { fifo, contentBasedDeduplication, name } = this.settings;
    const content = () => (contentBasedDeduplication === true ? hash('sha256', body) : undefined);
    const id = fifo ? (deduplicationId ?? content()) : undefined;
    const before = id === undefined ? undefined : this.#sentBefore.recall(id);
    if (before !== undefined) return before;
    const messageId = `${name}-${this.messages.length}`;
    const message = this.#add(
      { messageId, sent: unplanned(body, group), group, deduplicationId: id, attributes },
      delaySeconds,
    );
    if (id !== undefined) this.#sentBefore.remember(id, message);
    return message;
  }

  /** @returns a way to hang up. @throws ServiceError when a short poll meets the limit of messages in flight. */
  receive(request: ReceiveRequest, answer: (receipts: Receipt[]) => void): () => void {
    return this.#polls.receive(request, answer);
  }

  malformed(worker: string, code: string): ServiceError {
    this.#around.witness.malformed(worker, code);
    return new ServiceError(code, 400);
  }

  /** By a worker, to the dead-letter queue. */
  copy(copy: DeadLetterCopy, deduplicationId: string | undefined): void {
    if (this.settings.fifo && deduplicationId !== undefined) {
      if (this.#copiedBefore.recall(deduplicationId) !== undefined) return;
      this.#copiedBefore.remember(deduplicationId, copy);
    }
    this.#around.scheduler.trace(`copied ${copy.attributes.get('RejectionMessageId')}`);
    this.copies.push(copy);
    this.#around.witness.copied(copy);
  }

  /** As a dead-letter queue. A standard one keeps the enqueue time, so that retention has begun; FIFO sets it anew. */
  takeOver({ messageId, sent, group, sentAtMs, attributes, receiveCount }: StoredMessage, movedFrom: SqsModel): void {
    const identity = this.settings.fifo ? { deduplicationId: messageId } : { sentAtMs };
    this.#add({ messageId, sent, group, attributes, receiveCount, movedFrom, ...identity }, 0);
  }

  /** What a person starts on a dead-letter queue: its messages become new ones of the queues that they came from. */
  moveBack(): void {
    const { source, visible } = this.#contents;
    for (const message of [...source].filter((each) => visible.has(each))) {
      const { sent, group, deduplicationId, attributes, movedFrom } = message;
      if (movedFrom === undefined) continue;
      this.#contents.leave(message, 'deleted');
      const messageId = `${message.messageId}-again`;
      movedFrom.#add({ messageId, sent, group, deduplicationId, attributes });
    }
  }

  #add(arrival: Arrival, delaySeconds = this.settings.delaySeconds ?? 0): StoredMessage {
    const message = this.#contents.add(arrival);
    if (delaySeconds > 0) this.#contents.hide(message, this.#around.scheduler.nowMs + delaySeconds * 1000);
    else this.#show(message);
    return message;
  }

  #show(message: StoredMessage): void {
    this.#contents.visible.add(message);
    this.#polls.serve();
  }

  /** SQS moves a message at the end of its last lease, or when it would be received once more. */
  #due(message: StoredMessage): void {
    const isLast = message.receiveCount >= this.settings.maxReceiveCount;
    if (isLast && this.#around.random.chance(0.5)) this.#redrive(message);
    else this.#show(message);
  }

  #redrive(message: StoredMessage): void {
    const { scheduler, witness } = this.#around;
    scheduler.trace(`redriven ${message.messageId}`);
    this.#contents.leave(message, 'dead-letter queue');
    witness.redriven(message);
    this.deadLetterQueue?.takeOver(message, this);
    scheduler.after(0, () => this.#polls.serve());
  }
}

/** What no workload planned: nothing is known of its fate. */
function unplanned(body: string, group: string): Sent {
  return { index: -1, fate: 'stored', work: { id: '', group, place: 0, value: '' }, body, sendAtMs: 0 };
}
