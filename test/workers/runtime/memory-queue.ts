/**
 * A queue in memory that behaves as SQS documents it, on virtual time, and fails as a test says.
 *
 * It hides what it hands out and counts it, gives each receive a handle of its own, shows nothing of a FIFO group
 * behind a message in flight, shows again what was not deleted in time, and moves away what was received too often.
 */
import type {
  DeadLetter,
  EntryResult,
  QueueClient,
  QueueFacts,
  ReceivedMessage,
  VisibilityChange,
} from '../../../workers/runtime/queue-client.ts';
import { sleep } from '../../../workers/runtime/surroundings.ts';
import type { VirtualTime } from './virtual-time.ts';

const LONG_POLL_MS = 20_000;
const LOOK_MS = 100;
const RECEIVE_MAX = 10;

interface StoredMessage {
  readonly messageId: string;
  readonly sequenceNumber: string;
  readonly body: string;
  readonly sentAtMs: number;
  readonly group: string | undefined;
  readonly attributes: ReceivedMessage['attributes'];
  receiveCount: number;
  visibleAtMs: number;
  handle: string | undefined;
}

export type QueueOperation = 'receive' | 'delete' | 'changeVisibility' | 'send';

export interface Faults {
  /** Called before each call: may throw, wait or hang. */
  call?: (operation: QueueOperation, entries: readonly string[]) => unknown;
  /** Entries, by message id, that the service fails although it answers. */
  entry?: (operation: 'delete' | 'changeVisibility', messageId: string) => boolean;
}

export class MemoryQueue implements QueueClient {
  readonly facts: QueueFacts;
  /** Copies that were sent. */
  readonly deadLetters: DeadLetter[] = [];
  /** Ids of what the queue itself moved away, without a reason. */
  readonly redriven: string[] = [];
  /** Every change of visibility that was asked for, by message id and in seconds, a list per call. */
  readonly changes: { readonly atMs: number; readonly entries: readonly (readonly [string, number])[] }[] = [];
  /** Message ids of every delete call. */
  readonly deletes: string[][] = [];
  faults: Faults = {};
  pollsUnderWay = 0;
  pollsUnderWayMax = 0;
  receives = 0;
  readonly #time: VirtualTime;
  #messages: StoredMessage[] = [];
  readonly #idOfHandle = new Map<string, string>();
  #count = 0;

  constructor(time: VirtualTime, facts: Partial<QueueFacts> = {}) {
    this.#time = time;
    this.facts = {
      visibilityTimeoutSeconds: 60,
      fifo: false,
      maxReceiveCount: 5,
      messageBytesMax: 1_048_576,
      createdTimestamp: '1',
      ...facts,
    };
  }

  /** @returns the message's id. */
  send(body: string, group?: string, attributes: ReceivedMessage['attributes'] = {}): string {
    this.#count += 1;
    const messageId = `m${this.#count}`;
    this.#messages.push({
      messageId,
      sequenceNumber: String(this.#count),
      body,
      group,
      attributes,
      sentAtMs: this.#time.wallMs(),
      receiveCount: 0,
      visibleAtMs: this.#time.monotonicMs(),
      handle: undefined,
    });
    return messageId;
  }

  /** As if others had received it so often before. */
  receivedBefore(messageId: string, times: number): void {
    this.#find(messageId).receiveCount = times;
  }

  /** Gives the message to another worker, as SQS may when it believes that a lease is over. */
  handOutElsewhere(messageId: string): void {
    this.#handOut(this.#find(messageId));
  }

  /** What is still in the queue: how often it was received, and in how many seconds it is shown. */
  get left(): { messageId: string; receiveCount: number; hiddenSeconds: number }[] {
    return this.#messages.map(({ messageId, receiveCount, visibleAtMs }) => ({
      messageId,
      receiveCount,
      hiddenSeconds: Math.max(0, (visibleAtMs - this.#time.monotonicMs()) / 1000),
    }));
  }

  async describe(): Promise<QueueFacts> {
    return this.facts;
  }

  async receive(signal: AbortSignal): Promise<ReceivedMessage[]> {
    this.receives += 1;
    this.pollsUnderWay += 1;
    this.pollsUnderWayMax = Math.max(this.pollsUnderWayMax, this.pollsUnderWay);
    try {
      await this.faults.call?.('receive', []);
      const endMs = this.#time.monotonicMs() + LONG_POLL_MS;
      for (;;) {
        if (signal.aborted) throw new Error('Request aborted');
        const taken = this.#take();
        if (taken.length > 0 || this.#time.monotonicMs() >= endMs) return taken;
        await sleep(this.#time, LOOK_MS, signal);
      }
    } finally {
      this.pollsUnderWay -= 1;
    }
  }

  async deleteBatch(receiptHandles: readonly string[]): Promise<EntryResult[]> {
    const ids = receiptHandles.map((handle) => this.#idOfHandle.get(handle)!);
    this.deletes.push(ids);
    await this.faults.call?.('delete', ids);
    return receiptHandles.map((handle) =>
      this.#change('delete', handle, (message) => {
        this.#messages = this.#messages.filter((other) => other !== message);
      }),
    );
  }

  async changeVisibilityBatch(changes: readonly VisibilityChange[]): Promise<EntryResult[]> {
    const entries = changes.map(
      ({ receiptHandle, visibilityTimeoutSeconds }) =>
        [this.#idOfHandle.get(receiptHandle)!, visibilityTimeoutSeconds] as const,
    );
    this.changes.push({ atMs: this.#time.monotonicMs(), entries });
    await this.faults.call?.(
      'changeVisibility',
      entries.map(([id]) => id),
    );
    return changes.map(({ receiptHandle, visibilityTimeoutSeconds }) =>
      this.#change('changeVisibility', receiptHandle, (message) => {
        message.visibleAtMs = this.#time.monotonicMs() + visibilityTimeoutSeconds * 1000;
      }),
    );
  }

  async sendDeadLetter(letter: DeadLetter): Promise<void> {
    await this.faults.call?.('send', []);
    this.deadLetters.push(letter);
  }

  close(): void {}

  #find(messageId: string): StoredMessage {
    const message = this.#messages.find((each) => each.messageId === messageId);
    if (message === undefined) throw new Error(`${messageId} is not in the queue`);
    return message;
  }

  #take(): ReceivedMessage[] {
    const locked = new Set<string | undefined>();
    const taken: ReceivedMessage[] = [];
    for (const message of this.#messages) {
      if (taken.length === RECEIVE_MAX) break;
      const isHidden = message.visibleAtMs > this.#time.monotonicMs();
      if (isHidden && this.facts.fifo) locked.add(message.group);
      if (isHidden || locked.has(message.group)) continue;
      if (message.receiveCount >= (this.facts.maxReceiveCount ?? Number.POSITIVE_INFINITY)) this.#redrive(message);
      else taken.push(this.#handOut(message));
    }
    return taken;
  }

  #handOut(message: StoredMessage): ReceivedMessage {
    const { messageId, body, group, sequenceNumber, sentAtMs, attributes } = message;
    const receiveCount = message.receiveCount + 1;
    const receiptHandle = `${messageId}#${receiveCount}`;
    message.receiveCount = receiveCount;
    message.visibleAtMs = this.#time.monotonicMs() + this.facts.visibilityTimeoutSeconds * 1000;
    message.handle = receiptHandle;
    this.#idOfHandle.set(receiptHandle, messageId);
    return {
      messageId,
      receiptHandle,
      body,
      receiveCount,
      messageGroupId: group,
      sequenceNumber: this.facts.fifo ? sequenceNumber : undefined,
      sentTimestampMs: sentAtMs,
      attributes,
      traceHeader: undefined,
    };
  }

  #redrive(message: StoredMessage): void {
    this.redriven.push(message.messageId);
    this.#messages = this.#messages.filter((other) => other !== message);
  }

  #change(operation: 'delete' | 'changeVisibility', handle: string, apply: (message: StoredMessage) => void) {
    const message = this.#messages.find((each) => each.handle === handle);
    if (message === undefined || message.visibleAtMs <= this.#time.monotonicMs()) return 'gone';
    if (this.faults.entry?.(operation, message.messageId) === true) return 'failed';
    apply(message);
    return 'done';
  }
}
