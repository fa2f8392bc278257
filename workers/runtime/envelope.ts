/**
 * The envelope of every message: which schema its payload follows, and in which version.
 *
 * Reading never throws: a body is a message, a reason for rejecting it, or a version from the future.
 * That last one is retried and never rejected: during a rolling deploy a new producer may already be
 * sending what only the new workers understand.
 */
import { z } from 'zod';

export interface MessageSchema<Payload> {
  /** The name that the envelope must carry, such as `order`. */
  readonly name: string;
  /** The newest version that this worker understands; older ones must parse with `payload` too. */
  readonly version: number;
  readonly payload: z.ZodType<Payload>;
}

export type Reading<Payload> =
  | { readonly name: 'message'; readonly payload: Payload }
  | { readonly name: 'invalid'; readonly reason: string }
  | { readonly name: 'newer'; readonly version: number };

const envelopeSchema = z.object({ schema: z.string(), version: z.int32().min(1), payload: z.unknown() });

/** A reason is shown to people and travels as a message attribute: long enough for a sentence, not for a payload. */
const REASON_CHARACTERS_MAX = 200;

export function readMessage<Payload>(body: string, schema: MessageSchema<Payload>): Reading<Payload> {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch (error) {
    return invalid(`body is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const envelope = envelopeSchema.safeParse(json);
  if (!envelope.success) return invalid(firstIssue(envelope.error));
  if (envelope.data.schema !== schema.name) return invalid(`schema is not ${schema.name}`);
  if (envelope.data.version > schema.version) return { name: 'newer', version: envelope.data.version };
  const payload = schema.payload.safeParse(envelope.data.payload);
  return payload.success ? { name: 'message', payload: payload.data } : invalid(firstIssue(payload.error));
}

function invalid(reason: string): { name: 'invalid'; reason: string } {
  return { name: 'invalid', reason: printable(reason) };
}

/** SQS accepts only some characters in an attribute and PostgreSQL no NUL, so what a reason quotes must not leak them. */
export function printable(reason: string): string {
  const clean = reason.replaceAll(/[^\x20-\x7e]/g, '?');
  return clean.length <= REASON_CHARACTERS_MAX ? clean : `${clean.slice(0, REASON_CHARACTERS_MAX - 3)}...`;
}

/** The field by its own name, without the way to it, so that the same fault in different lines counts as one reason. */
function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return 'does not follow its schema';
  const name = issue.path.findLast((part) => typeof part === 'string') ?? 'body';
  return issue.code === 'custom' || issue.code === 'invalid_format'
    ? `${name} ${issue.message}`
    : `${name}: ${issue.message}`;
}
