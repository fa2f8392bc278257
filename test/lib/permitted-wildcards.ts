/**
 * What a policy allows beyond exact actions, exact resources and named principals, each with its reason.
 *
 * The rule about policies (rules/policies.ts) permits what stands here and nothing else; an entry that matches nothing in
 * any stage fails. A stage is left out of the name of a stack, the hash out of a logical id; `<Name>` stands for one word,
 * such as the name of a worker, where one construct makes the same statement for each.
 */

export interface PermittedWildcard {
  /** `network`, `data`, `messaging`, `compute` or `monitoring`. */
  readonly stack: string;
  readonly logicalId: string;
  /** What the rule says of the statement, word for word. */
  readonly problem: string;
  readonly reason: string;
}

const administers =
  'without it nobody could administer the key: it hands the account itself what its own policies then give to its people; in the policy of a key * is that key';
const assumesWithoutSource =
  'EC2 hands over no source when it takes a role for an instance; who may give the role to an instance is said by iam:PassRole in the account';

export const permittedWildcards: readonly PermittedWildcard[] = [
  { stack: 'compute', logicalId: 'LogKey', problem: 'allows kms:*', reason: administers },
  { stack: 'messaging', logicalId: 'QueueKey', problem: 'allows kms:*', reason: administers },
  { stack: 'monitoring', logicalId: 'AlarmsKey', problem: 'allows kms:*', reason: administers },
  {
    stack: 'compute',
    logicalId: '<Name>FleetRole',
    problem: 'lets in ec2.amazonaws.com on behalf of anybody',
    reason: assumesWithoutSource,
  },
];
