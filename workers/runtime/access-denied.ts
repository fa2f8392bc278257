/**
 * Whether AWS refused a request for want of a right: the role's, the queue's or its key's.
 *
 * A key that is disabled, gone or in no state to be used refuses as well, and nothing but a person mends it.
 */
const DENIED_NAMES =
  /^(AccessDenied(Exception)?|Kms(AccessDenied|Disabled|InvalidKeyUsage|InvalidState|NotFound|OptInRequired))$/;

export function isAccessDenied(error: unknown): boolean {
  return error instanceof Error && DENIED_NAMES.test(error.name);
}
