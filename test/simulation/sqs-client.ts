/**
 * The SDK's client as one worker sees it, with the network between it and the queue: calls are throttled, refused, lost
 * on the way there or on the way back, answered too late, or take effect after a later call.
 *
 * It takes the SDK's commands and gives the SDK's outputs, so that all of queue-client.ts is in the simulation. Every
 * call ends by its deadline, as the real client's does.
 */
import { hash } from 'node:crypto';
import {
  type BatchResultErrorEntry,
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  type ReceiveMessageCommandInput,
  SendMessageBatchCommand,
  SendMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import type { SqsCalls } from '../../workers/runtime/queue-client.ts';
import type { Configuration } from './configuration.ts';
import { ENTRIES_FAIL, SQS_FAULTS, type SqsFault, type SqsOperation } from './faults.ts';
import type { Fate, Incarnation } from './process.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import { queueArn, queueAttributes } from './sqs-attributes.ts';
import { extensionSeconds, HIDDEN_FOR_TOO_LONG } from './sqs-handles.ts';
import type { Receipt, StoredMessage } from './sqs-message.ts';
import type { SqsModel } from './sqs-model.ts';
import {
  batchFault,
  type Message,
  messageFault,
  receiveFault,
  sendBatchFault,
  visibilityFault,
} from './sqs-request-form.ts';
import { ServiceError } from './sqs-service-error.ts';

/** What one call does to the queue; it answers at once, except for a receive, and says what the worker knows who hears it. */
type Effect = (answer: (output: unknown, heard?: () => void) => void, fault: SqsFault) => (() => void) | undefined;

interface HandleEntry {
  readonly ReceiptHandle?: string | undefined;
}

interface BatchEntry extends HandleEntry {
  readonly Id?: string | undefined;
}

/** The code of a refusal, or what is answered. */
interface EntryResult {
  readonly code: string | undefined;
  readonly output?: object;
}

/** Nothing that the sender could have done otherwise, though SQS puts a throttled key down to the sender. */
const SERVICE_FAULTS = [
  { SenderFault: false, Code: 'InternalError' },
  { SenderFault: true, Code: 'KmsThrottled' },
] as const;

/** What became of the call is not heard in time. */
const UNHEARD: readonly SqsFault[] = [
  'error 500 after its effect',
  'answer lost',
  'answer after the deadline',
  'arrives late',
];

export interface SqsSurroundings {
  readonly scheduler: Scheduler;
  readonly configuration: Pick<Configuration, 'faultsEndMs' | 'sqsFaults'>;
  readonly random: Random;
  readonly fate: Fate;
  readonly model: SqsModel;
  readonly count: (what: string) => void;
}

export class SqsClientModel implements SqsCalls {
  readonly #around: SqsSurroundings;
  readonly #process: Incarnation;
  readonly #deadlineMs: number;

  constructor(around: SqsSurroundings, process: Incarnation, deadlineMs: number) {
    this.#around = around;
    this.#process = process;
    this.#deadlineMs = deadlineMs;
  }

  readonly send = ((command: unknown, options?: { abortSignal?: AbortSignal }) =>
    this.answer(command, options?.abortSignal)) as SQSClient['send'];

  destroy(): void {}

  /** As `send`, for who has a command of whatever kind. */
  answer(command: unknown, signal?: AbortSignal): Promise<unknown> {
    const { model, scheduler } = this.#around;
    const sentAtMs = scheduler.nowMs;
    if (command instanceof ReceiveMessageCommand) {
      return this.#call('receive', this.#receive(command.input, sentAtMs), signal);
    }
    if (command instanceof DeleteMessageBatchCommand) {
      const { Entries: entries = [] } = command.input;
      for (const { ReceiptHandle: handle } of entries) model.handles.deleteSent(`${handle}`);
      return this.#call(
        'delete',
        this.#batch(entries, this.#delete, ({ load }, receipt) => load.left(receipt)),
      );
    }
    if (command instanceof DeleteMessageCommand) {
      model.handles.deleteSent(`${command.input.ReceiptHandle}`);
      return this.#call('delete', this.#single(command.input, this.#delete));
    }
    const change = (entry: HandleEntry & { VisibilityTimeout?: number | undefined }): EntryResult => {
      const seconds = entry.VisibilityTimeout ?? 0;
      const code = visibilityFault(seconds) ?? model.handles.change(`${entry.ReceiptHandle}`, seconds, sentAtMs);
      return { code };
    };
    if (command instanceof ChangeMessageVisibilityBatchCommand) {
      const { Entries: entries = [] } = command.input;
      for (const { ReceiptHandle: handle, VisibilityTimeout: seconds = 0 } of entries) {
        model.handles.changeSent(`${handle}`, seconds);
      }
      const untilMs = sentAtMs + extensionSeconds(model.settings.visibilityTimeoutSeconds) * 1000;
      const effect = this.#batch(entries, change, ({ load }, receipt) =>
        load.extended(receipt, untilMs, scheduler.nowMs),
      );
      return this.#call('changeVisibility', effect);
    }
    if (command instanceof ChangeMessageVisibilityCommand) {
      const { ReceiptHandle: handle, VisibilityTimeout: seconds = 0 } = command.input;
      model.handles.changeSent(`${handle}`, seconds);
      return this.#call('changeVisibility', this.#single(command.input, change));
    }
    if (command instanceof SendMessageCommand) return this.#call('send', this.#sendOne(command.input));
    if (command instanceof SendMessageBatchCommand) {
      const { Entries: entries = [] } = command.input;
      return this.#call(
        'send',
        this.#batch(entries, this.#message, () => {}, sendBatchFault),
      );
    }
    if (command instanceof GetQueueAttributesCommand) {
      return this.#call('describe', this.#describe(command.input.AttributeNames ?? []));
    }
    throw new Error('the model of SQS does not know this command');
  }

  /** A call with its way there, its effect and its way back, each of which can fail. */
  #call(operation: SqsOperation | 'describe', effect: Effect, signal?: AbortSignal): Promise<unknown> {
    const { scheduler, random, fate, count } = this.#around;
    const fault = this.#draw(operation);
    const process = this.#process;
    if (operation !== 'describe') process.requests[operation] += 1;
    scheduler.trace(`${process.name} ${operation} ${fault}`);
    if (operation !== 'describe') process.load.began(operation);
    return new Promise((resolve, reject) => {
      let isOver = false;
      let hangUp: (() => void) | undefined;
      const end = (settle: () => void) => {
        if (isOver) return;
        isOver = true;
        deadline.cancel();
        if (hangUp !== undefined) process.hangUps.delete(hangUp);
        signal?.removeEventListener('abort', aborted);
        if (operation !== 'describe') process.load.ended(operation);
        settle();
      };
      const answered = (what: string, afterMs: number, settle: () => void) =>
        fate.answer(process, `${operation} ${what}`, afterMs, () => end(settle));
      const deadline = scheduler.deliver(process, this.#deadlineMs, () =>
        end(() => reject(new ServiceError('TimeoutError', 0))),
      );
      const aborted = () => {
        if (isOver) return;
        count(`sqs receive: aborted`);
        // The queue may hear of it, or assign messages to nobody.
        if (random.chance(0.5)) scheduler.after(random.uniform(1, 50), () => hangUp?.());
        end(() => reject(new ServiceError('AbortError', 0)));
      };
      signal?.addEventListener('abort', aborted);
      const fail = (name: string, status: number, afterMs = latency(random)) =>
        answered(name, afterMs, () => reject(new ServiceError(name, status)));
      if (fault === 'throttled') return void fail('ThrottlingException', 400);
      if (fault === 'error 500') return void fail('InternalFailure', 500);
      if (fault === 'never arrives') {
        if (random.chance(0.5)) fail('ECONNRESET', 0);
        return;
      }
      const wayThereMs = fault === 'arrives late' ? random.uniform(1_000, 40_000) : latency(random);
      scheduler.after(wayThereMs, () => {
        try {
          hangUp = effect((output, heard = () => {}) => {
            if (fault === 'error 500 after its effect') fail('InternalFailure', 500);
            else if (fault === 'answer lost' && random.chance(0.5)) fail('ECONNRESET', 0);
            else if (!UNHEARD.includes(fault))
              answered(
                'answer',
                fault === 'answer slow' ? random.uniform(500, this.#deadlineMs) : latency(random),
                () => {
                  heard();
                  resolve(output);
                },
              );
            else if (fault === 'answer after the deadline')
              answered('late answer', this.#deadlineMs, () => resolve(output));
          }, fault);
          if (hangUp !== undefined && !isOver) process.hangUps.add(hangUp);
        } catch (error) {
          if (!(error instanceof ServiceError)) throw error;
          answered('refusal', latency(random), () => reject(error));
        }
      });
    });
  }

  #receive(input: ReceiveMessageCommandInput, sentAtMs: number): Effect {
    const { model } = this.#around;
    const { MaxNumberOfMessages: messagesMax = 1, WaitTimeSeconds: waitSeconds = model.settings.waitSeconds ?? 0 } =
      input;
    const { VisibilityTimeout: visibilityTimeoutSeconds, ReceiveRequestAttemptId: attemptId } = input;
    const worker = this.#process.name;
    const request = { worker, sentAtMs, waitSeconds, messagesMax, visibilityTimeoutSeconds, attemptId };
    return (answer, fault) => {
      this.#refuse(receiveFault(messagesMax, waitSeconds, visibilityTimeoutSeconds));
      return model.receive(request, (receipts) => {
        if (UNHEARD.includes(fault)) for (const receipt of receipts) receipt.explained = true;
        const seconds = visibilityTimeoutSeconds ?? model.settings.visibilityTimeoutSeconds;
        answer(receipts.length === 0 ? {} : { Messages: receipts.map((receipt) => received(receipt, input)) }, () =>
          this.#process.load.received(receipts, seconds),
        );
      });
    };
  }

  readonly #delete = ({ ReceiptHandle: handle }: HandleEntry): EntryResult => ({
    code: this.#around.model.handles.delete(`${handle}`),
  });

  /** What workers send goes to the dead-letter queue; a queue that has a name takes what is sent to it. */
  readonly #message = (message: Message): EntryResult => {
    const { model } = this.#around;
    const code = messageFault(message, model.settings);
    if (code !== undefined) return { code };
    const {
      MessageBody: body = '',
      MessageAttributes: attributes = {},
      MessageDeduplicationId: deduplicationId,
    } = message;
    if (model.settings.name === undefined) {
      const texts = Object.entries(attributes).map(([name, { StringValue: value = '' }]) => [name, value] as const);
      model.copy({ body, attributes: new Map(texts) }, deduplicationId);
      return { code, output: { MessageId: 'copy', MD5OfMessageBody: hash('md5', body) } };
    }
    const { MessageGroupId: group, DelaySeconds: delaySeconds } = message;
    const { messageId, sequenceNumber } = model.send({ body, attributes, group, deduplicationId, delaySeconds });
    return {
      code,
      output: { MessageId: messageId, MD5OfMessageBody: hash('md5', body), SequenceNumber: sequenceNumber },
    };
  };

  #single<Entry>(entry: Entry, apply: (entry: Entry) => EntryResult): Effect {
    return (answer) => {
      const { code, output = {} } = apply(entry);
      if (code !== undefined) throw new ServiceError(code, 400);
      answer(output);
      return undefined;
    };
  }

  #sendOne(message: Message): Effect {
    const effect = this.#single(message, this.#message);
    return (answer, fault) => {
      this.#refuse(messageFault(message, this.#around.model.settings));
      return effect(answer, fault);
    };
  }

  /**
   * Refused as a whole where SQS refuses the form; else a result per entry, in any order.
   *
   * @param heard what a worker knows of an entry whose success it hears. Of a refusal it knows that the message is not its
   * own any more, and of a service's fault nothing.
   */
  #batch<Entry extends BatchEntry>(
    entries: readonly Entry[],
    apply: (entry: Entry) => EntryResult,
    heard: (process: Incarnation, receipt: Receipt) => void,
    formFault: (entries: readonly Entry[]) => string | undefined = batchFault,
  ): Effect {
    const { random, model } = this.#around;
    return (answer, fault) => {
      this.#refuse(formFault(entries));
      const failed: BatchResultErrorEntry[] = [];
      const successful: object[] = [];
      const known: (() => void)[] = [];
      for (const entry of entries) {
        const Id = entry.Id ?? '';
        const isFailed = fault === ENTRIES_FAIL && random.chance(0.5);
        // A service fault says nothing about the effect.
        const { code, output } = isFailed && random.chance(0.5) ? { code: undefined } : apply(entry);
        if (isFailed) model.handles.entryFailed(entry.ReceiptHandle ?? '');
        if (isFailed) failed.push({ Id, ...random.pick(SERVICE_FAULTS) });
        else if (code !== undefined) failed.push({ Id, SenderFault: true, ...refusal(code) });
        else successful.push({ Id, ...output });
        const receipt = model.handles.receiptOf(entry.ReceiptHandle ?? '');
        if (isFailed || receipt === undefined) continue;
        if (code === HIDDEN_FOR_TOO_LONG) continue;
        known.push(() => (code === undefined ? heard(this.#process, receipt) : this.#process.load.left(receipt)));
      }
      answer({ Successful: random.shuffled(successful), Failed: random.shuffled(failed) }, () => {
        for (const know of known) know();
      });
      return undefined;
    };
  }

  #describe(names: readonly string[]): Effect {
    return (answer) => {
      const isWanted = (name: string) => names.includes('All') || names.includes(name);
      const wanted = pick(queueAttributes(this.#around.model), isWanted);
      answer(wanted === undefined ? {} : { Attributes: wanted });
      return undefined;
    };
  }

  #refuse(code: string | undefined): void {
    if (code !== undefined) throw this.#around.model.malformed(this.#process.name, code);
  }

  #draw(operation: SqsOperation | 'describe'): SqsFault {
    const { scheduler, configuration, random, count } = this.#around;
    let fault: SqsFault = 'none';
    if (scheduler.nowMs < configuration.faultsEndMs && random.chance(configuration.sqsFaults)) {
      const isBatch = operation === 'delete' || operation === 'changeVisibility';
      fault = random.pick(isBatch ? [...SQS_FAULTS, ENTRIES_FAIL] : SQS_FAULTS);
      count(`sqs ${operation}: ${fault}`);
      this.#process.faultsAtMs.push(scheduler.nowMs);
    }
    return fault;
  }
}

function latency(random: Random): number {
  return random.uniform(1, 30);
}

function received({ handle, message }: Receipt, input: ReceiveMessageCommandInput) {
  const systemNames: readonly string[] = [
    ...(input.MessageSystemAttributeNames ?? []),
    ...(input.AttributeNames ?? []),
  ];
  const names = input.MessageAttributeNames ?? [];
  const system = pick(systemAttributes(message), (name) => systemNames.includes('All') || systemNames.includes(name));
  const own = pick(message.attributes, (name) =>
    names.some((wanted) => wanted === 'All' || wanted === name || isPrefixed(name, wanted)),
  );
  return {
    MessageId: message.messageId,
    ReceiptHandle: handle,
    Body: message.sent.body,
    MD5OfBody: hash('md5', message.sent.body),
    ...(system !== undefined && { Attributes: system }),
    ...(own !== undefined && { MessageAttributes: own }),
  };
}

function systemAttributes(message: StoredMessage): Record<string, string> {
  const { receiveCount, receipts, sentAtMs, group, sequenceNumber, deduplicationId, movedFrom } = message;
  return {
    ApproximateReceiveCount: String(receiveCount),
    ApproximateFirstReceiveTimestamp: String(Math.floor(receipts[0]?.atMs ?? 0)),
    SentTimestamp: String(Math.floor(sentAtMs)),
    ...(group !== '' && { MessageGroupId: group }),
    ...(sequenceNumber !== undefined && { SequenceNumber: sequenceNumber }),
    ...(deduplicationId !== undefined && { MessageDeduplicationId: deduplicationId }),
    ...(movedFrom !== undefined && { DeadLetterQueueSourceArn: queueArn(movedFrom.settings.name ?? '') }),
  };
}

/** Undefined where nothing is left, as SQS leaves it out. */
function pick<Value>(
  record: Readonly<Record<string, Value>>,
  isWanted: (name: string) => boolean,
): Record<string, Value> | undefined {
  const wanted = Object.entries(record).filter(([name]) => isWanted(name));
  return wanted.length === 0 ? undefined : Object.fromEntries(wanted);
}

function isPrefixed(name: string, wanted: string): boolean {
  return wanted.endsWith('.*') && name.startsWith(wanted.slice(0, -1));
}

/** A code, and behind it what SQS says besides. */
function refusal(code: string): { Code: string; Message?: string } {
  const [name = code, text] = code.split(': ');
  return { Code: name, ...(text !== undefined && { Message: text }) };
}
