/** The constructs in an app of one's own: docs/architecture.md shows what follows the imports, and a test holds it so. */
import { type App, Duration, Stack } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import { MigrationStep } from '../../../lib/constructs/migration-step.ts';
import { PostgresStore } from '../../../lib/constructs/postgres-store.ts';
import { WorkQueue } from '../../../lib/constructs/work-queue.ts';
import { WorkerFleet } from '../../../lib/constructs/worker-fleet.ts';

export function addShop(app: App): Stack {
  const stack = new Stack(app, 'shop');
  const vpc = new ec2.Vpc(stack, 'Vpc', {
    subnetConfiguration: [
      { name: 'Public', subnetType: ec2.SubnetType.PUBLIC },
      { name: 'Workers', subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS },
      { name: 'Database', subnetType: ec2.SubnetType.PRIVATE_ISOLATED },
    ],
  }) as ec2.IVpc;
  const store = new PostgresStore(stack, 'Store', { vpc });
  const migrations = new MigrationStep(stack, 'Migrations', { functionName: 'shop-migrations', store, vpc });
  const workQueue = new WorkQueue(stack, 'Orders', { queueName: 'shop-orders' });
  const entry = 'workers/orders/main.ts';
  const fleet = new WorkerFleet(stack, 'OrdersFleet', { fleetName: 'orders', entry, workQueue, store, vpc });
  // The tables are there before the first worker.
  fleet.node.addDependency(migrations.resource);

  const website = new iam.Role(stack, 'Website', { assumedBy: new iam.ServicePrincipal('ecs-tasks.amazonaws.com') });
  workQueue.grantProduce(website);

  new cloudwatch.Alarm(stack, 'DeadLetters', {
    metric: workQueue.deadLetterQueue.metricApproximateNumberOfMessagesVisible({ period: Duration.minutes(1) }),
    threshold: 1,
    evaluationPeriods: 1,
  });
  new cloudwatch.Alarm(stack, 'Rejected', {
    metric: fleet.metrics.count('rejected', { period: Duration.minutes(5) }),
    threshold: 100,
    evaluationPeriods: 1,
  });
  new cloudwatch.Alarm(stack, 'Behind', {
    metric: fleet.backlogPerInstance,
    threshold: 10 * fleet.backlogPerInstanceMessages,
    evaluationPeriods: 15,
  });
  return stack;
}
