import { describe, expect, test } from '@jest/globals';
import { type App, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
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

  test('holds every instance, its first ones too, until its worker is ready, and one that leaves until it has drained', () => {
    template.hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', {
      AutoScalingGroupName: 'sluice-dev-orders',
      LifecycleHookSpecificationList: [
        {
          LifecycleHookName: 'ready',
          LifecycleTransition: 'autoscaling:EC2_INSTANCE_LAUNCHING',
          HeartbeatTimeout: 900,
          DefaultResult: 'ABANDON',
        },
        {
          LifecycleHookName: 'drain',
          LifecycleTransition: 'autoscaling:EC2_INSTANCE_TERMINATING',
          HeartbeatTimeout: 180,
          DefaultResult: 'CONTINUE',
        },
      ],
    });
    template.resourceCountIs('AWS::AutoScaling::LifecycleHook', 0);
  });

  test('has the rights that its first instance needs before it has instances', () => {
    const [policy] = Object.keys(template.findResources('AWS::IAM::Policy'));
    template.hasResource('AWS::AutoScaling::AutoScalingGroup', { DependsOn: Match.arrayWith([policy!]) });
  });

  test('is told of its hooks in the names that the group gives them', () => {
    const [data] = Object.values(template.findResources('AWS::EC2::LaunchTemplate'));
    expect(JSON.stringify(data)).toContain(
      '"FLEET_GROUP":"sluice-dev-orders","FLEET_LAUNCH_HOOK":"ready","FLEET_TERMINATION_HOOK":"drain"',
    );
  });

  test('boots from the newest image without a pin, and from nothing else with one', () => {
    const newest = '/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-arm64';
    expect(JSON.stringify(template.toJSON())).toContain(newest);
    const pinned = JSON.stringify(templateWithFleet({ images: { 'eu-central-1': 'ami-0123456789abcdef0' } }).toJSON());
    expect(pinned).toContain('{"eu-central-1":{"ami":"ami-0123456789abcdef0"}}');
    expect(pinned).not.toContain(newest);
  });

  test('is all on demand unless types for Spot are named, and then from the pools least likely to be taken back', () => {
    expect(JSON.stringify(template.toJSON())).not.toMatch(/MixedInstancesPolicy|CapacityRebalance/);
    templateWithFleet({
      spotInstanceTypes: ['t4g.small', 'c7g.medium'].map((type) => new ec2.InstanceType(type)),
    }).hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', {
      CapacityRebalance: true,
      LaunchTemplate: Match.absent(),
      MixedInstancesPolicy: {
        InstancesDistribution: {
          OnDemandBaseCapacity: 1,
          OnDemandPercentageAboveBaseCapacity: 0,
          SpotAllocationStrategy: 'price-capacity-optimized',
        },
        LaunchTemplate: {
          Overrides: [{ InstanceType: 't4g.micro' }, { InstanceType: 't4g.small' }, { InstanceType: 'c7g.medium' }],
        },
      },
    });
  });

  test('keeps as many on demand as it is told, none among them', () => {
    const fleet = templateWithFleet({ spotInstanceTypes: [new ec2.InstanceType('t4g.small')], onDemandBase: 0 });
    fleet.hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', {
      MixedInstancesPolicy: { InstancesDistribution: { OnDemandBaseCapacity: 0 } },
    });
  });

  test.each<[string, Partial<WorkerFleetProps>, string]>([
    [
      'a drain that the termination hook does not wait for',
      { drainTimeout: Duration.seconds(121) },
      'stack/Fleet: drainTimeout is 121 s; allowed: at most 120 s, because terminationHookTimeout is 180 s',
    ],
    [
      'a drain that a Spot notice does not wait for',
      { drainTimeout: Duration.seconds(101), spotInstanceTypes: [new ec2.InstanceType('t4g.small')] },
      'stack/Fleet: drainTimeout is 101 s; allowed: at most 100 s',
    ],
    [
      'a hook that waits longer than Auto Scaling lets it',
      { terminationHookTimeout: Duration.seconds(7_201) },
      'stack/Fleet: terminationHookTimeout is 7201 s; allowed: at most 7200 s',
    ],
    [
      'Spot instances that cannot run the image',
      { spotInstanceTypes: [new ec2.InstanceType('m7i.large')] },
      'stack/Fleet: instanceType is m7i.large; allowed: a Graviton type',
    ],
    [
      'a type for Spot twice',
      { spotInstanceTypes: ['t4g.small', 't4g.small'].map((type) => new ec2.InstanceType(type)) },
      'stack/Fleet: spotInstanceTypes has t4g.small; allowed: types other than instanceType, t4g.micro, each of them once',
    ],
    [
      'its own type for Spot',
      { spotInstanceTypes: [new ec2.InstanceType('t4g.micro')] },
      'stack/Fleet: spotInstanceTypes has t4g.micro; allowed: types other than instanceType, t4g.micro, each of them once',
    ],
    [
      'instances that a worker does not fit into',
      { instanceType: new ec2.InstanceType('t4g.nano') },
      'stack/Fleet: instanceType is t4g.nano; allowed: a size with at least 768 MiB, such as t4g.micro: it has 512 MiB',
    ],
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
