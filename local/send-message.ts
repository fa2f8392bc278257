/**
 * `sluice send --queue`: one message to the queue of a workload.
 *
 * A payload travels in the envelope that every worker reads, `{ schema, version, payload }`; a body goes as it is.
 */
import { randomUUID } from 'node:crypto';
import { SendMessageCommand, SQSServiceException } from '@aws-sdk/client-sqs';
import { Interrupted } from './interrupted.ts';
import { checkSettings, openDestination, type SendingTo, urlOf } from './send-destination.ts';

export interface SendMessageOptions extends SendingTo {
  /** Name of the workload. */
  readonly queue: string;
  readonly fifo: boolean;
  readonly body: string;
  /** Message group, of a FIFO queue. */
  readonly group: string | undefined;
  readonly json: boolean;
  readonly output: NodeJS.WritableStream;
  readonly signal: AbortSignal;
}

/** The body of a message of the first version of a schema that is named as its workload, as `sluice add worker` has it. */
export function envelopeOf(schema: string, payload: unknown): string {
  return JSON.stringify({ schema, version: 1, payload });
}

/** @throws Error in one sentence when it was not accepted or nobody knows; Interrupted when a person did not wait for that. */
export async function sendMessage(options: SendMessageOptions): Promise<void> {
  const { queue, fifo, body, group, signal } = options;
  const destination = openDestination(options);
  const { client, stage, journal } = destination;
  try {
    if (journal === undefined) await checkSettings(client);
    const queueUrl = await urlOf(destination, `sluice-${stage}-${queue}${fifo ? '.fifo' : ''}`, signal);
    const place = fifo ? { MessageGroupId: group, MessageDeduplicationId: randomUUID() } : {};
    signal.throwIfAborted();
    const command = new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: body, ...place });
    const { MessageId: messageId } = await client.send(command, { abortSignal: signal }).catch((error: Error) => {
      if (signal.aborted) {
        throw new Interrupted(
          `interrupted before SQS had answered, so the message to ${queue} may have been sent; look there before you send it again`,
          { cause: error },
        );
      }
      throw new Error(outcomeOf(error, queue), { cause: error });
    });
    if (messageId === undefined) throw new Error(`${queue} did not take the message: SQS gave no id for it`);
    journal?.accepted({ queue, messageId, orderId: messageId, customerId: null });
    const sent = { queue, messageId, body };
    options.output.write(
      `${options.json ? JSON.stringify(sent, null, 2) : `sent to ${queue}: message ${messageId}`}\n`,
    );
  } finally {
    client.destroy();
    await journal?.close();
  }
}

/** Only a refusal says that it is not there: what SQS failed at, or the network, may have had its effect. */
function outcomeOf(error: Error, queue: string): string {
  const reason = error.message || error.name;
  const refused = error instanceof SQSServiceException && error.$fault === 'client';
  return refused
    ? `${queue} did not take the message (${reason})`
    : `nobody knows whether ${queue} took the message (${reason}); look there before you send it again`;
}
