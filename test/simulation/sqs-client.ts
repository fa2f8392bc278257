/**
 * The SDK's client as one worker sees it, with the network between it and the queue: calls are throttled, refused, lost
 * on the way there or on the way back, answered too late, or take effect after a later call.
 *
 * It takes the SDK's commands and gives the SDK's outputs, so that all of queue-client.ts is in the simulation. Every
 * call ends by its deadline, as the real client's does.
 */
import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  type SendMessageCommandInput,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import type { SqsCalls } from '../../workers/runtime/queue-client.ts';
import type { Configuration } from './configuration.ts';
import { ENTRIES_FAIL, SQS_FAULTS, type SqsFault, type SqsOperation } from './faults.ts';
import type { Fate, Incarnation } from './process.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import { type EntryFailure, type Receipt, ServiceError, type SqsModel } from './sqs-model.ts';

/** What one call does to the queue; it answers at once, except for a receive. */
type Effect = (answer: (output: unknown) => void, fault: SqsFault) => (() => void) | undefined;

/** What became of the call is not heard in time. */
const UNHEARD: readonly SqsFault[] = [
  'error 500 after its effect',
  'answer lost',
  'answer after the deadline',
  'arrives late',
];

export interface SqsSurroundings {
  readonly scheduler: Scheduler;
  readonly configuration: Configuration;
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
    this.#send(command, options?.abortSignal)) as SQSClient['send'];

  destroy(): void {}

  #send(command: unknown, signal: AbortSignal | undefined): Promise<unknown> {
    const sentAtMs = this.#around.scheduler.nowMs;
    if (command instanceof ReceiveMessageCommand) {
      const wait = command.input.WaitTimeSeconds ?? 0;
      return this.#call('receive', this.#receive(sentAtMs, wait), signal);
    }
    if (command instanceof DeleteMessageBatchCommand) {
      const entries = (command.input.Entries ?? []).map(({ Id, ReceiptHandle }) => ({ Id, handle: ReceiptHandle }));
      for (const { handle } of entries) this.#around.model.deleteSent(`${handle}`);
      return this.#call(
        'delete',
        this.#batch(entries, ({ handle }) => this.#around.model.deleteEntry(`${handle}`)),
      );
    }
    if (command instanceof ChangeMessageVisibilityBatchCommand) {
      const entries = (command.input.Entries ?? []).map(({ Id, ReceiptHandle, VisibilityTimeout }) => ({
        Id,
        handle: ReceiptHandle,
        seconds: VisibilityTimeout ?? 0,
      }));
      for (const { handle, seconds } of entries) this.#around.model.changeSent(`${handle}`, seconds);
      const change = (entry: (typeof entries)[number]) =>
        this.#around.model.changeEntry(`${entry.handle}`, entry.seconds, sentAtMs);
      return this.#call('changeVisibility', this.#batch(entries, change));
    }
    if (command instanceof SendMessageCommand) return this.#call('send', this.#copy(command.input));
    throw new Error('the model of SQS does not know this command');
  }

  /** A call with its way there, its effect and its way back, each of which can fail. */
  #call(operation: SqsOperation, effect: Effect, signal?: AbortSignal): Promise<unknown> {
    const { scheduler, random, fate, count } = this.#around;
    const fault = this.#draw(operation);
    const process = this.#process;
    process.requests[operation] += 1;
    scheduler.trace(`${process.name} ${operation} ${fault}`);
    if (operation === 'receive') process.pollsUnderWay += 1;
    return new Promise((resolve, reject) => {
      let isOver = false;
      let hangUp: (() => void) | undefined;
      const end = (settle: () => void) => {
        if (isOver) return;
        isOver = true;
        deadline.cancel();
        if (hangUp !== undefined) process.hangUps.delete(hangUp);
        signal?.removeEventListener('abort', aborted);
        if (operation === 'receive') process.pollsUnderWay -= 1;
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
          hangUp = effect((output) => {
            if (fault === 'error 500 after its effect') fail('InternalFailure', 500);
            else if (fault === 'answer lost' && random.chance(0.5)) fail('ECONNRESET', 0);
            else if (!UNHEARD.includes(fault))
              answered(
                'answer',
                fault === 'answer slow' ? random.uniform(500, this.#deadlineMs) : latency(random),
                () => resolve(output),
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

  #receive(sentAtMs: number, waitSeconds: number): Effect {
    const { model } = this.#around;
    return (answer, fault) =>
      model.receive(this.#process.name, sentAtMs, waitSeconds, (receipts) => {
        if (UNHEARD.includes(fault)) for (const receipt of receipts) receipt.explained = true;
        answer({ Messages: receipts.map(received) });
      });
  }

  /** Refused as a whole where SQS refuses the form; else a result per entry, in any order. */
  #batch<Entry extends { Id: string | undefined; handle: string | undefined }>(
    entries: readonly Entry[],
    apply: (entry: Entry) => string | undefined,
  ): Effect {
    const { random } = this.#around;
    return (answer, fault) => {
      const ids = entries.map(({ Id: id }) => id ?? '');
      if (entries.length === 0) throw this.#around.model.malformed(this.#process.name, 'EmptyBatchRequest');
      if (entries.length > 10) throw this.#around.model.malformed(this.#process.name, 'TooManyEntriesInBatchRequest');
      if (new Set(ids).size < ids.length)
        throw this.#around.model.malformed(this.#process.name, 'BatchEntryIdsNotDistinct');
      if (!ids.every((id) => /^[\w-]{1,80}$/.test(id)))
        throw this.#around.model.malformed(this.#process.name, 'InvalidBatchEntryId');
      const failed: EntryFailure[] = [];
      const successful: { Id: string }[] = [];
      for (const [index, entry] of entries.entries()) {
        const isFailed = fault === ENTRIES_FAIL && random.chance(0.5);
        // A service fault says nothing about the effect.
        const code = isFailed && random.chance(0.5) ? undefined : apply(entry);
        if (isFailed) this.#around.model.entryFailed(entry.handle ?? '');
        if (isFailed) failed.push({ Id: ids[index]!, SenderFault: false, Code: 'InternalError' });
        else if (code !== undefined) failed.push({ Id: ids[index]!, SenderFault: true, Code: code });
        else successful.push({ Id: ids[index]! });
      }
      answer({ Successful: random.shuffled(successful), Failed: random.shuffled(failed) });
      return undefined;
    };
  }

  #copy(input: SendMessageCommandInput): Effect {
    return (answer) => {
      const attributes = new Map<string, string>();
      for (const [name, { StringValue: value }] of Object.entries(input.MessageAttributes ?? {})) {
        attributes.set(name, value ?? '');
      }
      const copy = { body: input.MessageBody ?? '', attributes, worker: this.#process.name };
      this.#around.model.copy(copy, input.MessageDeduplicationId);
      answer({ MessageId: 'copy' });
      return undefined;
    };
  }

  #draw(operation: SqsOperation): SqsFault {
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

function received({ handle, message }: Receipt) {
  return {
    MessageId: message.messageId,
    ReceiptHandle: handle,
    Body: message.sent.body,
    Attributes: {
      ApproximateReceiveCount: String(message.receipts.length),
      SentTimestamp: String(message.sentAtMs),
      MessageGroupId: message.group,
      SequenceNumber: String(message.sent.index + 1).padStart(20, '0'),
    },
    MessageAttributes: {},
  };
}
