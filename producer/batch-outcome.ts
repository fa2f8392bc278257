/**
 * What became of the entries of a SendMessageBatch request, and whether sending them again can help.
 *
 * Whatever is not known to be accepted counts as failed: a second copy is suppressed further on (by the
 * deduplication id on a FIFO queue, by the workers' inbox everywhere), a message never sent is lost.
 */
import type { SendMessageBatchResult } from '@aws-sdk/client-sqs';

export interface Failure {
  /** What happened, as part of a sentence. */
  readonly reason: string;
  /** What to do about it, as a sentence; empty where there is nothing to say. */
  readonly advice: string;
  /** Trying again would fail again. */
  readonly isFinal: boolean;
  readonly cause: unknown;
}

export type EntryOutcome =
  | { readonly name: 'accepted'; readonly messageId: string }
  | { readonly name: 'failed'; readonly failure: Failure };

/** The fault lies in how much is sent and not in what is sent, even where SQS says SenderFault. */
const THROTTLED = /throttl|OverLimit|TooManyRequests|SlowDown|RequestLimitExceeded/i;
const CREDENTIALS =
  /Credentials|TokenProvider|UnrecognizedClient|InvalidClientTokenId|SignatureDoesNotMatch|ExpiredToken|InvalidSecurity|MissingAuthentication|InvalidAccessKeyId/;
const ACCESS_DENIED = /AccessDenied|AccessDeniedException|NotAuthorized/;
const NO_QUEUE = /QueueDoesNotExist|NonExistentQueue|QueueDeletedRecently|InvalidAddress/;

/** The outcome per entry of an answered request whose entries had the ids '0', '1', … */
export function outcomesOf(answer: SendMessageBatchResult, entries: number): EntryOutcome[] {
  const outcomes: EntryOutcome[] = [];
  for (let index = 0; index < entries; index += 1) {
    const id = String(index);
    const success = answer.Successful?.find(({ Id }) => Id === id);
    const failed = answer.Failed?.find(({ Id }) => Id === id);
    if (success?.MessageId !== undefined) {
      outcomes.push({ name: 'accepted', messageId: success.MessageId });
    } else if (failed !== undefined) {
      const code = failed.Code ?? 'no code';
      const reason = failed.Message === undefined ? code : `${code}, ${failed.Message.replace(/\.$/, '')}`;
      const isFinal = failed.SenderFault === true && !THROTTLED.test(code);
      outcomes.push({ name: 'failed', failure: { reason, advice: '', isFinal, cause: undefined } });
    } else {
      const reason = 'SQS did not say whether it took the message';
      outcomes.push({ name: 'failed', failure: { reason, advice: '', isFinal: false, cause: undefined } });
    }
  }
  return outcomes;
}

/** What a request that was not answered, or answered with an error, means for all of its entries. */
export function failureOf(error: unknown): Failure {
  const name = textOf(error, 'name') ?? 'Error';
  const message = (textOf(error, 'message') ?? String(error)).replace(/\.$/, '');
  const described = name === 'Error' ? message : `${name}, ${message}`;
  const retryable: Failure = { reason: described, advice: '', isFinal: false, cause: error };
  if (THROTTLED.test(name)) return retryable;
  if (NO_QUEUE.test(name)) {
    return final(error, 'it does not exist', 'Deploy it, or check the queue URL, the stage and the region.');
  }
  if (name === 'KmsAccessDenied') {
    return final(error, 'access to its key is denied', 'Allow kms:GenerateDataKey and kms:Decrypt on the key.');
  }
  if (ACCESS_DENIED.test(name)) {
    return final(error, `access is denied (${described})`, 'Allow sqs:SendMessage on the queue.');
  }
  if (CREDENTIALS.test(name)) {
    return final(error, `the AWS credentials do not work (${described})`, 'Log in again, or set the credentials.');
  }
  const status = statusOf(error);
  if (status !== undefined && status >= 400 && status < 500 && status !== 408 && status !== 429) {
    return final(error, `SQS refuses the request (${described})`, '');
  }
  return retryable;
}

function final(cause: unknown, reason: string, advice: string): Failure {
  return { reason, advice, isFinal: true, cause };
}

function textOf(error: unknown, property: 'name' | 'message'): string | undefined {
  const value = propertyOf(error, property);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function statusOf(error: unknown): number | undefined {
  const status = propertyOf(propertyOf(error, '$metadata'), 'httpStatusCode');
  return typeof status === 'number' ? status : undefined;
}

function propertyOf(value: unknown, property: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, property) : undefined;
}
