import { describe, expect, test } from '@jest/globals';
import { type App, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as kms from 'aws-cdk-lib/aws-kms';
import { PostgresStore } from '../../../lib/constructs/postgres-store.ts';
import { WorkQueue } from '../../../lib/constructs/work-queue.ts';
import { WorkerFleet, type WorkerFleetProps } from '../../../lib/constructs/worker-fleet.ts';
import { synthesized } from '../synthesized.ts';

function templateWithFleet(props: Partial<WorkerFleetProps> = {}): Template {
  const { templates } = synthesized((app) => addFleet(app, props));
  return Template.fromJSON(templates.stack!);
}

function addFleet(app: App, props: Partial<WorkerFleetProps>): void {
  const stack = new Stack(app, 'stack');
  const vpc = new ec2.Vpc(stack, 'Vpc') as ec2.IVpc;
  const vpcSubnets = { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS };
  new WorkerFleet(stack, 'Fleet', {
    fleetName: 'orders',
    stage: 'dev',
    entry: 'test/lib/constructs/fixtures/one.js',
    workQueue: new WorkQueue(stack, 'Work', { queueName: 'work', encryptionKey: new kms.Key(stack, 'Key') }),
    store: new PostgresStore(stack, 'Store', {
      vpc,
      vpcSubnets,
      instanceClass: 'db.t4g.micro',
      allocatedStorageGib: 20,
      maxAllocatedStorageGib: 50,
      backupRetention: Duration.days(1),
      removalPolicy: RemovalPolicy.DESTROY,
    }),
    vpc,
    vpcSubnets,
    instanceType: new ec2.InstanceType('t4g.micro'),
    minimum: 1,
    maximum: 4,
    acceptableLatency: Duration.seconds(100),
    messagesPerSecondPerInstance: 10,
    ...props,
  });
}

describe('a worker fleet', () => {
  const template = templateWithFleet();

  test('shares a stack with its queue and its database without a cycle', () => {
    template.resourceCountIs('AWS::AutoScaling::AutoScalingGroup', 1);
  });

  test('adds 1 instance from 1000 visible messages for each, 2 from 4000, 4 from 10000', () => {
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      ComparisonOperator: 'GreaterThanOrEqualToThreshold',
      Threshold: 1000,
    });
    template.hasResourceProperties('AWS::AutoScaling::ScalingPolicy', {
      AdjustmentType: 'ChangeInCapacity',
      StepAdjustments: [
        { MetricIntervalLowerBound: 0, MetricIntervalUpperBound: 3000, ScalingAdjustment: 1 },
        { MetricIntervalLowerBound: 3000, MetricIntervalUpperBound: 9000, ScalingAdjustment: 2 },
        { MetricIntervalLowerBound: 9000, ScalingAdjustment: 4 },
      ],
    });
  });

  test('tracks 1000 visible messages for each instance, and never shrinks by that', () => {
    template.hasResourceProperties('AWS::AutoScaling::ScalingPolicy', {
      PolicyType: 'TargetTrackingScaling',
      TargetTrackingConfiguration: { TargetValue: 1000, DisableScaleIn: true },
    });
  });

  test('takes 1 instance away while fewer than 100 messages are left for each', () => {
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      ComparisonOperator: 'LessThanThreshold',
      Threshold: 100,
    });
    template.hasResourceProperties('AWS::AutoScaling::ScalingPolicy', {
      StepAdjustments: [{ MetricIntervalUpperBound: 0, ScalingAdjustment: -1 }],
    });
  });

  test('replaces its instances when the launch template changes, new before old', () => {
    template.hasResource('AWS::AutoScaling::AutoScalingGroup', {
      UpdatePolicy: {
        AutoScalingInstanceRefresh: {
          Strategy: 'Rolling',
          Preferences: { MinHealthyPercentage: 100, MaxHealthyPercentage: 150 },
        },
      },
    });
  });

  test.each<[string, Partial<WorkerFleetProps>, string]>([
    ['fewer instances than none', { minimum: -1 }, 'stack/Fleet: minimum is -1; allowed: a whole number, at least 0'],
    [
      'no instance at all',
      { minimum: 0, maximum: 0 },
      'stack/Fleet: maximum is 0; allowed: a whole number, at least 1 and at least minimum, 0',
    ],
    [
      'a maximum below the minimum',
      { minimum: 3, maximum: 2 },
      'stack/Fleet: maximum is 2; allowed: a whole number, at least 1 and at least minimum, 3',
    ],
    [
      'a latency within which no message is worked off',
      { messagesPerSecondPerInstance: 0.001 },
      'stack/Fleet: acceptableLatency is 100 s and messagesPerSecondPerInstance 0.001; allowed: at least one message',
    ],
    [
      'a rate that is no number',
      { messagesPerSecondPerInstance: Number.NaN },
      'stack/Fleet: acceptableLatency is 100 s and messagesPerSecondPerInstance NaN; allowed: at least one message',
    ],
    [
      'instances that cannot run the image',
      { instanceType: new ec2.InstanceType('m7i.large') },
      'stack/Fleet: instanceType is m7i.large; allowed: a Graviton type',
    ],
  ])('refuses %s', (_, props, message) => {
    expect(() => templateWithFleet(props)).toThrow(message);
  });
});
