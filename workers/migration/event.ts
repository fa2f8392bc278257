/**
 * What CloudFormation asks of a custom resource, and the answer that it waits for.
 *
 * Holds always: an answer says no more than what is safe to stand in the events of a stack, which many may read.
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
  | { readonly Status: 'SUCCESS'; readonly Data: Readonly<Record<string, string>> }
  | { readonly Status: 'FAILED'; readonly Reason: string };

/** The same for good: another would have CloudFormation delete the resource of before. */
const PHYSICAL_RESOURCE_ID = 'sluice-schema';
/** CloudFormation refuses an answer of more than 4,096 bytes. */
const REASON_CHARACTERS_MAX = 1_000;
const ATTEMPTS_MAX = 5;
const ATTEMPT_MS_MAX = 5_000;
const PAUSE_MS = 500;

/** @throws Error when nobody takes the answer. CloudFormation then waits until the resource's time is over. */
export async function answer(event: SchemaEvent, given: Answer): Promise<void> {
  const { ResponseURL, StackId, RequestId, LogicalResourceId } = event;
  const PhysicalResourceId = event.RequestType === 'Create' ? PHYSICAL_RESOURCE_ID : event.PhysicalResourceId;
  const body = JSON.stringify({ ...shortened(given), StackId, RequestId, LogicalResourceId, PhysicalResourceId });
  for (let attempt = 1; ; attempt += 1) {
    try {
      await put(ResponseURL, body);
      return;
    } catch (cause) {
      if (attempt < ATTEMPTS_MAX) await sleep(PAUSE_MS * attempt);
      // Not the URL: whoever has it may answer in the place of this function.
      else throw new Error(`cannot answer CloudFormation at ${new URL(ResponseURL).host}; open a way to S3`, { cause });
    }
  }
}

function shortened(given: Answer): Answer {
  return given.Status === 'SUCCESS' ? given : { ...given, Reason: given.Reason.slice(0, REASON_CHARACTERS_MAX) };
}

/** Without a content type: the URL is signed for none. */
function put(url: string, body: string): Promise<void> {
  const request = url.startsWith('https:') ? requestHttps : requestHttp;
  const headers = { 'content-length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const call = request(url, { method: 'PUT', headers, timeout: ATTEMPT_MS_MAX }, (response) => {
      response.resume();
      const { statusCode = 0 } = response;
      if (statusCode >= 200 && statusCode < 300) resolve();
      else reject(new Error(`it was answered with status ${statusCode}`));
    });
    call.on('timeout', () => call.destroy(new Error(`nobody answered for ${ATTEMPT_MS_MAX} ms`)));
    call.on('error', reject);
    call.end(body);
  });
}
