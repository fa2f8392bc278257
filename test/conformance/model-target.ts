/** The simulator's queue, in virtual time, without faults: what it promises when nothing goes wrong. */
import { type SQSClient, StartMessageMoveTaskCommand } from '@aws-sdk/client-sqs';
import { z } from 'zod';
import { drawConfiguration } from '../simulation/configuration.ts';
import { nobody } from '../simulation/nobody.ts';
import { Fate, Incarnation } from '../simulation/process.ts';
import { Random } from '../simulation/random.ts';
import { Scheduler } from '../simulation/scheduler.ts';
import { queueArn, settingsFrom } from '../simulation/sqs-attributes.ts';
import { SqsClientModel } from '../simulation/sqs-client.ts';
import { SqsModel } from '../simulation/sqs-model.ts';
import { ServiceError } from '../simulation/sqs-service-error.ts';
import type { Calls, Target } from './target.ts';

const CALL_DEADLINE_MS = 30_000;

const inputSchema = z.object({ input: z.object({ QueueUrl: z.string() }) });

interface ModelQueue {
  readonly model: SqsModel;
  readonly calls: SqsClientModel;
}

export class ModelTarget implements Target {
  readonly kind = 'model';
  /** Small, so that they are reached with few messages. */
  readonly limits = { inFlightMax: 30, groupSearchMax: 30 };
  readonly client: Calls = { send: ((command: unknown) => this.#send(command)) as SQSClient['send'] };
  readonly #scheduler = new Scheduler('immediate');
  readonly #random: Random;
  readonly #queues = new Map<string, ModelQueue>();
  /** Calls, and times to pass, that the case waits for. */
  #awaited = 0;
  #isPassing = false;
  #passing: Promise<void> = Promise.resolve();

  constructor(seed = 1) {
    this.#random = new Random(seed, 'sqs');
  }

  async createQueue(attributes: Readonly<Record<string, string>>): Promise<string> {
    const name = `queue${this.#queues.size}${attributes.FifoQueue === 'true' ? '.fifo' : ''}`;
    const settings = { ...settingsFrom(name, attributes), ...this.limits };
    const [scheduler, random] = [this.#scheduler, this.#random];
    const model = new SqsModel({ scheduler, settings, random, witness: nobody, count: () => {} });
    model.deadLetterQueue = this.#byArn(settings.deadLetterTargetArn)?.model;
    const url = `http://model/000000000000/${name}`;
    this.#queues.set(url, { model, calls: this.#callsTo(model) });
    return url;
  }

  pass(ms: number): Promise<void> {
    return this.#inVirtualTime(new Promise((resolve) => void this.#scheduler.after(ms, resolve)));
  }

  async close(): Promise<void> {}

  #callsTo(model: SqsModel): SqsClientModel {
    const configuration = { ...drawConfiguration(0), faultsEndMs: 0 };
    const common = { scheduler: this.#scheduler, configuration, random: this.#random, count: () => {} };
    const fate = new Fate(
      this.#scheduler,
      configuration,
      this.#random,
      () => {},
      () => {},
    );
    return new SqsClientModel({ ...common, fate, model }, new Incarnation('suite'), CALL_DEADLINE_MS);
  }

  #byArn(arn: string | undefined): ModelQueue | undefined {
    return [...this.#queues.values()].find(({ model }) => queueArn(model.settings.name ?? '') === arn);
  }

  async #send(command: unknown): Promise<unknown> {
    if (command instanceof StartMessageMoveTaskCommand) {
      const source = this.#byArn(command.input.SourceArn);
      if (source === undefined) throw new ServiceError('ResourceNotFoundException', 404);
      source.model.moveBack();
      return {};
    }
    const queue = this.#queues.get(inputSchema.parse(command).input.QueueUrl);
    if (queue === undefined) throw new ServiceError('QueueDoesNotExist', 400);
    return this.#inVirtualTime(queue.calls.answer(command));
  }

  /** Time passes as long as the case waits for something; one event at a time, so that it can act upon each. */
  async #inVirtualTime<Value>(awaited: Promise<Value>): Promise<Value> {
    this.#awaited += 1;
    if (!this.#isPassing) this.#passing = this.#scheduler.run(() => !this.#goOn());
    this.#isPassing = true;
    try {
      return await Promise.race([awaited, this.#passing.then(() => awaited)]);
    } finally {
      this.#awaited -= 1;
    }
  }

  #goOn(): boolean {
    this.#isPassing = this.#awaited > 0;
    return this.#isPassing;
  }
}
