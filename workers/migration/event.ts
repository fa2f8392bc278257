/**
 * What CloudFormation asks of a custom resource, and the answer that it waits for.
 *
 * Holds always: an answer says no more than what is safe to stand in the events of a stack, which many may read, and is no
 * longer than CloudFormation takes; an attempt to give it ends within ATTEMPT_MS_MAX, whatever the other side does.
 */
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

const common = { ResponseURL: z.url(), StackId: z.string(), RequestId: z.string(), LogicalResourceId: z.string() };

export const eventSchema = z.discriminatedUnion('RequestType', [
  z.object({ RequestType: z.literal('Create'), ...common }),
  z.object({ RequestType: z.literal('Update'), PhysicalResourceId: z.string(), ...common }),
  z.object({ RequestType: z.literal('Delete'), PhysicalResourceId: z.string(), ...common }),
]);

export type SchemaEvent = z.infer<typeof eventSchema>;

export type Answer =
  /** The names of those that were run; undefined when none was asked for. */
  | { readonly Status: 'SUCCESS'; readonly migrations: readonly string[] | undefined }
  | { readonly Status: 'FAILED'; readonly Reason: string };

/** The same for good: another would have CloudFormation delete the resource of before. */
const PHYSICAL_RESOURCE_ID = 'sluice-schema';
/** CloudFormation refuses a longer answer, and then waits as if there had been none. */
const ANSWER_BYTES_MAX = 4_096;
const ATTEMPTS_MAX = 5;
const ATTEMPT_MS_MAX = 5_000;
const PAUSE_MS = 500;
const STATUS_FORBIDDEN = 403;
const STATUS_SERVER_ERROR = 500;

/** @throws Error when nobody takes the answer. CloudFormation then waits until the resource's time is over. */
export async function answer(event: SchemaEvent, given: Answer): Promise<void> {
  const { ResponseURL } = event;
  const body = bodyOf(event, given);
  for (let attempt = 1; ; attempt += 1) {
    try {
      const status = await put(ResponseURL, body);
      if (status >= 200 && status < 300) return;
      throw new Refusal(`it was answered with status ${status}: ${meaningOf(status)}`);
    } catch (cause) {
      if (attempt < ATTEMPTS_MAX) await sleep(PAUSE_MS * attempt);
      else throw notAnswered(ResponseURL, cause);
    }
  }
}

/** The way is open, and who is there does not take the answer. */
class Refusal extends Error {
  override readonly name = 'Refusal';
}

function meaningOf(status: number): string {
  if (status >= STATUS_SERVER_ERROR)
    return 'S3 is at fault, or a proxy before it; let Lambda call again, or deploy again';
  if (status >= 300 && status < 400) return 'the address is of another region than the bucket; deploy again';
  if (status === STATUS_FORBIDDEN) return 'the address has expired, or an endpoint policy forbids it; deploy again';
  return 'S3 does not take it; look whether something else answers in its place';
}

/** Not the URL: whoever has it may answer in the place of this function. */
function notAnswered(url: string, cause: unknown): Error {
  const what = `cannot answer CloudFormation at ${new URL(url).host}`;
  return new Error(cause instanceof Refusal ? `${what}: ${cause.message}` : `${what}; open a way to S3`, { cause });
}

function bodyOf(event: SchemaEvent, given: Answer): string {
  const { StackId, RequestId, LogicalResourceId } = event;
  const PhysicalResourceId = event.RequestType === 'Create' ? PHYSICAL_RESOURCE_ID : event.PhysicalResourceId;
  const bodyWith = (told: object) =>
    JSON.stringify({ Status: given.Status, ...told, StackId, RequestId, LogicalResourceId, PhysicalResourceId });
  if (given.Status === 'FAILED') {
    const bytesLeft = ANSWER_BYTES_MAX - Buffer.byteLength(bodyWith({ Reason: '' }));
    return bodyWith({ Reason: shortened(given.Reason, bytesLeft) });
  }
  if (given.migrations === undefined) return bodyWith({ Data: {} });
  return bodyWithNames(given.migrations, (Migrations) => bodyWith({ Data: { Migrations } }));
}

/** All names, or as many of the last as fit, and how many there are. */
function bodyWithNames(names: readonly string[], bodyWith: (told: string) => string): string {
  let body = bodyWith(names.join(', '));
  for (let from = 1; Buffer.byteLength(body) > ANSWER_BYTES_MAX && from <= names.length; from += 1) {
    const last = names.slice(from).join(', ');
    body = bodyWith(
      last === '' ? `${names.length} migrations` : `${names.length} migrations, the last of them ${last}`,
    );
  }
  return body;
}

/** Counted as JSON writes it, where a quotation mark takes two bytes and a control character six. */
function shortened(text: string, bytesMax: number): string {
  const bytesOf = (part: string) => Buffer.byteLength(JSON.stringify(part)) - 2;
  if (bytesOf(text) <= bytesMax) return text;
  let bytesLeft = bytesMax - bytesOf('…');
  let kept = '';
  for (const character of text) {
    bytesLeft -= bytesOf(character);
    if (bytesLeft < 0) break;
    kept += character;
  }
  return `${kept}…`;
}

/** Without a content type: the URL is signed for none. @returns the status, which is all that matters of the response. */
function put(url: string, body: string): Promise<number> {
  const request = url.startsWith('https:') ? requestHttps : requestHttp;
  const headers = { 'content-length': Buffer.byteLength(body) };
  const signal = AbortSignal.timeout(ATTEMPT_MS_MAX);
  return new Promise((resolve, reject) => {
    const call = request(url, { method: 'PUT', headers, agent: false, signal }, (response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    call.on('error', (cause) => {
      reject(signal.aborted ? new Error(`nobody answered within ${ATTEMPT_MS_MAX} ms`, { cause }) : cause);
    });
    call.end(body);
  });
}
