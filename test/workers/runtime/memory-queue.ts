/**
 * A queue in memory that behaves as SQS documents it, on virtual time, and fails as a test says.
 *
 * It hides what it hands out and counts it, gives each receive a handle of its own, keeps the rest of a FIFO group
 * back while one of it is in flight, and shows again what was not deleted in time.
 */
import type {
  DeadLetter,
  EntryResult,
  QueueClient,
  QueueFacts,
  ReceivedMessage,
  VisibilityChange,
} from '../../../workers/runtime/queue-client.ts';
import type { VirtualTime } from './virtual-time.ts';

const LONG_POLL_MS = 20_000;
const LOOK_MS = 100;
const RECEIVE_MAX = 10;

interface StoredMessage {
  readonly messageId: string;
  readonly body: string;
  readonly group: string | undefined;
  readonly attributes: ReceivedMessage['attributes'];
  receiveCount: number;
  visibleAtMs: number;
  handle: string | undefined;
}

export interface Faults {
  /** Called before each call: may throw, wait or hang. */
  call?: (operation: 'receive' | 'delete' | 'changeVisibility' | 'send', entries: readonly string[]) => unknown;
  /** Entries, by message id, that the service fails although it answers. */
  entry?: (operation: 'delete' | 'changeVisibility', messageId: string) => boolean;
}

export class MemoryQueue implements QueueClient {
  readonly facts: QueueFacts;
  readonly deadLetters: DeadLetter[] = [];
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
    this.facts = { visibilityTimeoutSeconds: 60, fifo: false, hasDeadLetterQueue: true, ...facts };
  }

  /** @returns the message's id. */
  send(body: string, group?: string, attributes: ReceivedMessage['attributes'] = {}): string {
    this.#count += 1;
    const messageId = `m${this.#count}`;
    this.#messages.push({
      messageId,
      body,
      group,
      attributes,
      receiveCount: 0,
      visibleAtMs: this.#time.monotonicMs(),
      handle: undefined,
    });
    return messageId;
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
        await this.#time.sleep(LOOK_MS, signal);
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

  #take(): ReceivedMessage[] {
    const nowMs = this.#time.monotonicMs();
    const isHidden = ({ visibleAtMs }: StoredMessage) => visibleAtMs > nowMs;
    const locked = new Set(this.facts.fifo ? this.#messages.filter(isHidden).map(({ group }) => group) : []);
    const taken = this.#messages
      .filter((message) => !isHidden(message) && !(this.facts.fifo && locked.has(message.group)))
      .slice(0, RECEIVE_MAX);
    return taken.map((message) => {
      message.receiveCount += 1;
      message.visibleAtMs = nowMs + this.facts.visibilityTimeoutSeconds * 1000;
      message.handle = `${message.messageId}#${message.receiveCount}`;
      this.#idOfHandle.set(message.handle, message.messageId);
      return {
        messageId: message.messageId,
        receiptHandle: message.handle,
        body: message.body,
        receiveCount: message.receiveCount,
        messageGroupId: message.group,
        sentTimestampMs: 0,
        attributes: message.attributes,
      };
    });
  }

  #change(operation: 'delete' | 'changeVisibility', handle: string, apply: (message: StoredMessage) => void) {
    const message = this.#messages.find((each) => each.handle === handle);
    if (message === undefined || message.visibleAtMs <= this.#time.monotonicMs()) return 'gone';
    if (this.faults.entry?.(operation, message.messageId) === true) return 'failed';
    apply(message);
    return 'done';
  }
}
