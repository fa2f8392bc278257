/** The templates say what the configuration says, and keep what the stage asks to keep. */

import type { Resource } from '../synthesized.ts';
import { groupOf } from './fleets.ts';
import { redrivesOf } from './queues.ts';
import { type Finding, found, listOf, type Rule, type Stage, unless, valueAt } from './stage.ts';

const SECONDS_OF_DAY = 24 * 60 * 60;
const STACKS = ['network', 'data', 'schema', 'messaging', 'compute', 'monitoring'];

export const configurationRules = {
  'queues have the settings of their stage': (stage) =>
    Object.entries(stage.configuration.queues).flatMap(([name, settings]): Finding[] => {
      const pair = redrivesOf(stage).find(
        ({ source }) => String(source.properties.QueueName).replace('.fifo', '') === `sluice-${stage.name}-${name}`,
      );
      if (pair === undefined) return [{ where: `sluice-${stage.name}-messaging/${name}`, problem: 'is not there' }];
      const { source, deadLetterQueue } = pair;
      const expected: Record<string, unknown> = {
        VisibilityTimeout: settings.visibilityTimeoutSeconds,
        DelaySeconds: settings.deliveryDelaySeconds,
        MessageRetentionPeriod: settings.retentionDays * SECONDS_OF_DAY,
        MaximumMessageSize: settings.maximumMessageSizeBytes,
        KmsDataKeyReusePeriodSeconds: settings.dataKeyReuseMinutes * 60,
        ...('highThroughput' in settings
          ? {
              ContentBasedDeduplication: settings.contentBasedDeduplication,
              DeduplicationScope: settings.highThroughput ? 'messageGroup' : undefined,
              FifoThroughputLimit: settings.highThroughput ? 'perMessageGroupId' : undefined,
            }
          : {}),
      };
      const receives = valueAt(source.properties.RedrivePolicy, 'maxReceiveCount');
      return [
        ...Object.entries(expected).flatMap(([property, value]) =>
          unless(
            source.properties[property] === value,
            source,
            `has ${property} ${String(source.properties[property])}, not ${String(value)}`,
          ),
        ),
        ...unless(receives === settings.maxReceiveCount, source, `gives up after ${String(receives)} receives`),
        ...unless(
          deadLetterQueue?.properties.MessageRetentionPeriod === settings.deadLetterRetentionDays * SECONDS_OF_DAY,
          deadLetterQueue ?? source,
          'keeps dead letters for another time',
        ),
        ...unless(
          deadLetterQueue?.properties.MaximumMessageSize === settings.maximumMessageSizeBytes,
          deadLetterQueue ?? source,
          'does not take every dead letter',
        ),
        ...unless(
          (deadLetterQueue?.properties.DelaySeconds ?? 0) === 0 &&
            deadLetterQueue?.properties.ContentBasedDeduplication !== true,
          deadLetterQueue ?? source,
          'hides dead letters, or takes two of the same content for one',
        ),
        ...unless(
          deadLetterQueue?.properties.VisibilityTimeout === settings.visibilityTimeoutSeconds &&
            deadLetterQueue?.properties.KmsDataKeyReusePeriodSeconds === settings.dataKeyReuseMinutes * 60,
          deadLetterQueue ?? source,
          'hides a dead letter that somebody looks at for another time than a message, or keeps data keys for another',
        ),
      ];
    }),

  'fleets have the settings of their stage': (stage) =>
    Object.entries(stage.configuration.fleets).flatMap(([name, settings]): Finding[] => {
      const fleet = stage.fleets.find((each) => each.name === name);
      if (fleet === undefined) return [{ where: `sluice-${stage.name}-compute/${name}`, problem: 'is not there' }];
      const { template, variables } = fleet;
      const group = groupOf(stage, fleet)?.properties;
      const data = template.properties.LaunchTemplateData;
      return [
        ...unless(
          Number(group?.MinSize) === settings.minimum && Number(group?.MaxSize) === settings.maximum,
          template,
          `has ${String(group?.MinSize)} to ${String(group?.MaxSize)} instances`,
        ),
        ...unless(
          valueAt(data, 'InstanceType') === settings.instanceType,
          template,
          `has instances of type ${String(valueAt(data, 'InstanceType'))}`,
        ),
        ...unless(
          valueAt(data, 'BlockDeviceMappings', 0, 'Ebs', 'VolumeSize') === settings.rootVolumeGib,
          template,
          'has a volume of another size',
        ),
        ...unless(
          variables.DRAIN_SECONDS === String(settings.drainSeconds),
          template,
          `drains for ${String(variables.DRAIN_SECONDS)} s`,
        ),
        ...unless(
          listOf(group?.LifecycleHookSpecificationList).some(
            (hook) =>
              valueAt(hook, 'LifecycleHookName') === variables.FLEET_TERMINATION_HOOK &&
              valueAt(hook, 'HeartbeatTimeout') === settings.terminationHookSeconds,
          ),
          template,
          'waits for another time for a worker that leaves',
        ),
        ...unless(variables.LOG_LEVEL === settings.logLevel, template, `logs at ${String(variables.LOG_LEVEL)}`),
      ];
    }),

  'queues and their key stay or go as their stage says': (stage) => {
    const kept = stage.configuration.queueRemovalPolicy === 'retain';
    const expected = kept ? 'RetainExceptOnCreate,Retain' : 'Delete,Delete';
    const keys = stage
      .of('AWS::SQS::Queue')
      .map((queue) => stage.referred(queue.stack, queue.properties.KmsMasterKeyId));
    const whole = [...stage.of('AWS::SQS::Queue', 'AWS::SQS::QueuePolicy'), ...keys.filter((key) => key !== undefined)];
    return [...new Set(whole)].flatMap((resource) => {
      const policies = ['DeletionPolicy', 'UpdateReplacePolicy'].map((name) => stage.attribute(resource, name));
      return unless(policies.join() === expected, resource, `goes as ${policies.join()}, not ${expected}`);
    });
  },

  'nothing stays that could not be made': (stage) =>
    stage.resources.flatMap((resource) =>
      // CloudFormation's word for what the next deployment would find under its name, and not own.
      unless(resource.deletionPolicy !== 'Retain', resource, 'stays when its creation is rolled back'),
    ),

  'a stage has its stacks, named for it': (stage) => {
    const names = Object.keys(stage.templates).sort();
    const expected = STACKS.map((part) => `sluice-${stage.name}-${part}`).sort();
    return names.join() === expected.join()
      ? []
      : [found({ stack: `sluice-${stage.name}`, id: '' }, `has ${names.join(', ')}`)];
  },

  'the network has the addresses, zones and gateways of its stage': (stage) => networkFindings(stage),
} satisfies Record<string, Rule>;

function networkFindings(stage: Stage): Finding[] {
  const { network } = stage.configuration;
  return stage.of('AWS::EC2::VPC').flatMap((vpc) => {
    const gateways = stage.of('AWS::EC2::NatGateway').length;
    const endpoints = stage
      .of('AWS::EC2::VPCEndpoint')
      .filter(({ properties }) => properties.VpcEndpointType === 'Interface');
    const isRight = ({ properties }: Resource) =>
      network.egress === 'endpoints' && listOf(properties.SubnetIds).length === network.endpointZones;
    const zones = new Set(
      stage.of('AWS::EC2::Subnet').map(({ properties }) => JSON.stringify(properties.AvailabilityZone)),
    ).size;
    return [
      ...unless(
        vpc.properties.CidrBlock === network.cidr,
        vpc,
        `has the addresses ${String(vpc.properties.CidrBlock)}`,
      ),
      ...unless(gateways === (network.egress === 'nat' ? network.natGateways : 0), vpc, `has ${gateways} NAT gateways`),
      ...unless(endpoints.every(isRight), vpc, 'has endpoints in other zones than its stage says'),
      ...unless(endpoints.length > 0 === (network.egress === 'endpoints'), vpc, `has ${endpoints.length} endpoints`),
      ...unless(zones === network.availabilityZones, vpc, `spans ${zones} zones`),
      ...unless(
        vpc.properties.EnableDnsSupport === true && vpc.properties.EnableDnsHostnames === true,
        vpc,
        'resolves no names',
      ),
    ];
  });
}
