/**
 * What is kept when it leaves its stack, and never when its creation fails.
 *
 * A queue, a database or a key that stayed after a stack that could not be made holds nothing, costs, and stands under its
 * name in the way of the next deployment, which ends with "already exists".
 */
import { RemovalPolicy } from 'aws-cdk-lib';

/** Kept once it was made: CloudFormation's `RetainExceptOnCreate`. */
export const KEPT = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE;

/** `policy`, in which what is kept is kept once it was made. */
export function keptOnceMade(policy: RemovalPolicy): RemovalPolicy {
  return policy === RemovalPolicy.RETAIN ? KEPT : policy;
}
