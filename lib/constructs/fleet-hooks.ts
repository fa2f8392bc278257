/**
 * The two places at which a group waits for a word of the worker on an instance:
 *
 *   ready   a new instance counts only when its worker has reached queue and database; without that word it is replaced
 *   drain   an instance that leaves stays until its worker holds nothing any more; without that word it goes all the same
 *
 * Both stand in the group's own list. As resources of their own they would come after the group, and its first instances
 * would pass without them. The role may speak of this group alone, and may do so before the group is there: the name is
 * fixed, because a role that names a group that needs the role would be a circle.
 *
 * Holds always: the drain hook waits longer than the drain and all that comes before and after it; no hook waits longer
 * than Auto Scaling allows.
 */
import { ArnFormat, type Stack } from 'aws-cdk-lib';
import type * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as iam from 'aws-cdk-lib/aws-iam';

export const LAUNCH_HOOK = 'ready';
export const TERMINATION_HOOK = 'drain';
/** Boot, packages, bundle, and the 300 s that a worker waits for a database that is just failing over. */
const LAUNCH_HOOK_SECONDS = 900;

/** The hooks of a group whose instances may take `terminationHookSeconds` to leave, as the group itself lists them. */
export function lifecycleHooks(
  terminationHookSeconds: number,
): autoscaling.CfnAutoScalingGroup.LifecycleHookSpecificationProperty[] {
  return [
    {
      lifecycleHookName: LAUNCH_HOOK,
      lifecycleTransition: 'autoscaling:EC2_INSTANCE_LAUNCHING',
      heartbeatTimeout: LAUNCH_HOOK_SECONDS,
      defaultResult: 'ABANDON',
    },
    {
      lifecycleHookName: TERMINATION_HOOK,
      lifecycleTransition: 'autoscaling:EC2_INSTANCE_TERMINATING',
      heartbeatTimeout: terminationHookSeconds,
      defaultResult: 'CONTINUE',
    },
  ];
}

/** Lets `role` speak for the instances of the group of that name. */
export function grantLifecycleActions(stack: Stack, groupName: string, role: iam.Role): void {
  const arn = stack.formatArn({
    service: 'autoscaling',
    resource: 'autoScalingGroup',
    // The id that AWS gives a group stands before its name.
    resourceName: `*:autoScalingGroupName/${groupName}`,
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  });
  role.addToPrincipalPolicy(
    new iam.PolicyStatement({
      actions: ['autoscaling:CompleteLifecycleAction', 'autoscaling:RecordLifecycleActionHeartbeat'],
      resources: [arn],
    }),
  );
}
