/** Every fleet runs hardened instances that can do their work and nothing else, and is replaced without a gap. */
import { instanceMemoryMib } from '../../../lib/constructs/instance-types.ts';
import { START_SECONDS_MAX } from '../../../workers/start-failure.ts';
import type { Resource } from '../synthesized.ts';
import { statementsOf } from './policies.ts';
import { type Fleet, found, listOf, type Rule, type Stage, textOf, unless, valueAt } from './stage.ts';
import { unitOf } from './user-data.ts';

/** The one kind of image that the script is for. */
const IMAGE_PARAMETER = /^\/aws\/service\/ami-amazon-linux-latest\/al2023-ami-kernel-[\w.-]+-arm64$/;
const GRAVITON = /^[a-z]+\d+g[a-z]*\.[a-z0-9]+$/;
/** Until what an instance works off shows in the metrics of its queue. */
const WARM_UP_MIN_SECONDS = 60;
/** A refresh waits that long for every instance, and a fleet that shrinks looks at a quarter of an hour. */
const WARM_UP_MAX_SECONDS = 600;
/** An image boots, and its packages and its bundle come, before a worker begins to wait for its database. */
const BOOT_MAX_SECONDS = 300;
/** A worker holds up to that much of what it works on. */
const HEAP_MIN_MIB = 256;
/** What Auto Scaling takes. */
const HOOK_MAX_SECONDS = 7_200;

/** What a worker does, and with which of the things that its own variables name. */
const RIGHTS: readonly (readonly [action: string, on: keyof Belongings])[] = [
  ['sqs:ReceiveMessage', 'queue'],
  ['sqs:DeleteMessage', 'queue'],
  ['sqs:ChangeMessageVisibility', 'queue'],
  ['sqs:GetQueueAttributes', 'queue'],
  ['sqs:SendMessage', 'deadLetterQueue'],
  ['sqs:GetQueueAttributes', 'deadLetterQueue'],
  ['kms:Decrypt', 'queueKey'],
  ['kms:GenerateDataKey', 'queueKey'],
  ['rds-db:connect', 'login'],
  ['autoscaling:CompleteLifecycleAction', 'hooks'],
  ['autoscaling:RecordLifecycleActionHeartbeat', 'hooks'],
  ['s3:GetObject', 'bundle'],
  ['logs:CreateLogStream', 'logGroup'],
  ['logs:PutLogEvents', 'logGroup'],
];

/** What a worker may have rights to: each is a resource of the templates, or a text. */
interface Belongings {
  readonly queue: Resource | undefined;
  readonly deadLetterQueue: Resource | undefined;
  readonly queueKey: Resource | undefined;
  readonly logGroup: Resource | undefined;
  readonly group: Resource | undefined;
  /** The ends of what the rights are on. */
  readonly bundle: string;
  readonly login: string;
  readonly hooks: string;
}

export const fleetRules = {
  'a worker may do what it does, and nothing else': (stage) =>
    stage.fleets.flatMap((fleet) => {
      const belongings = belongingsOf(stage, fleet);
      const role = roleOf(stage, fleet);
      if (role === undefined) return [found(fleet.template, 'has no role')];
      const policies = [role, ...policiesOf(stage, role)];
      const granted = policies.flatMap((policy) =>
        statementsOf(policy)
          .filter(({ Effect, Principal }) => Effect === 'Allow' && Principal === undefined)
          .flatMap(({ Action, Resource: resources }) =>
            Action.flatMap((action) =>
              resources.map((on) => ({ action: textOf(action), on: belonging(stage, policy, on, belongings) })),
            ),
          ),
      );
      const isGranted = (action: string, on: string) =>
        granted.some((right) => right.action === action && right.on === on);
      return [
        ...granted
          .filter(({ action, on }) => !RIGHTS.some((right) => right[0] === action && right[1] === on))
          .map(({ action, on }) => found(role, `may ${action} on ${on}`)),
        ...RIGHTS.filter(([action, on]) => !isGranted(action, on)).map(([action, on]) =>
          found(role, `may not ${action} on its ${on}`),
        ),
      ];
    }),

  'a bundle can be read for as long as an instance of its version may be launched': (stage) =>
    stage.fleets.flatMap((fleet) => {
      const { template, variables } = fleet;
      const bundle = textOf(variables.FLEET_BUNDLE_KEY).replace('.zip', '');
      const role = roleOf(stage, fleet);
      const readers = (role === undefined ? [] : policiesOf(stage, role)).filter((policy) =>
        statementsOf(policy).some(({ Action }) => Action.map(textOf).includes('s3:GetObject')),
      );
      return [
        ...unless(readers.length === 1, template, `has ${readers.length} policies about its bundle`),
        ...readers.flatMap((policy) => [
          // Called after the bundle, it is made before the group changes, and deleted when all is over. Two policies of
          // a role that had one name would be one.
          ...unless(
            policy.id.includes(bundle) && textOf(policy.properties.PolicyName).includes(bundle),
            policy,
            'is changed before the group is',
          ),
          ...unless(statementsOf(policy).length === 1, policy, 'is about more than the bundle'),
          ...unless(
            stage.dependencies(template).includes(policy.id),
            template,
            'may boot without a right to its bundle',
          ),
        ]),
      ];
    }),

  'instances are reached by nobody, and give credentials to nobody else': (stage) =>
    stage.fleets.flatMap(({ template }) => {
      const data = template.properties.LaunchTemplateData;
      const metadata = valueAt(data, 'MetadataOptions');
      const interfaces = listOf(valueAt(data, 'NetworkInterfaces'));
      const isPublic = interfaces.some((each) => valueAt(each, 'AssociatePublicIpAddress') === true);
      const groups = listOf(valueAt(data, 'SecurityGroupIds')).map((group) => stage.referred(template.stack, group));
      return [
        ...unless(
          valueAt(metadata, 'HttpTokens') === 'required',
          template,
          'answers requests for credentials without a token',
        ),
        ...unless(valueAt(metadata, 'HttpPutResponseHopLimit') === 1, template, 'answers them over more than one hop'),
        ...unless(valueAt(data, 'KeyName') === undefined, template, 'has a key pair'),
        ...unless(!isPublic, template, 'has a public address'),
        ...unless(
          groups.length > 0 && groups.every((group) => group?.type === 'AWS::EC2::SecurityGroup'),
          template,
          'is in no security group of these templates',
        ),
      ];
    }),

  'instances are Graviton, with an image for it': (stage) =>
    stage.fleets.flatMap(({ template }) => {
      const data = template.properties.LaunchTemplateData;
      const type = textOf(valueAt(data, 'InstanceType'));
      return [
        ...unless(GRAVITON.test(type), template, `has instances of type ${type}`),
        ...unless(
          isKnownImage(stage, template, valueAt(data, 'ImageId')),
          template,
          'has an image that is not Amazon Linux 2023 for arm64',
        ),
      ];
    }),

  'a group runs the newest version of the launch template of its fleet': (stage) =>
    groupsOf(stage).flatMap((group) => {
      const launched = launchedBy(group);
      const template = stage.referred(group.stack, valueAt(launched, 'LaunchTemplateId'));
      const version = stage.reference(group.stack, valueAt(launched, 'Version'));
      return [
        ...unless(template?.type === 'AWS::EC2::LaunchTemplate', group, 'has no launch template of these templates'),
        ...unless(
          version?.id === template?.id && version?.attribute === 'LatestVersionNumber',
          group,
          'does not follow its launch template',
        ),
      ];
    }),

  'a group has the size that its fleet is told, and keeps what a backlog asked for': (stage) =>
    stage.fleets.flatMap((fleet) => {
      const group = groupOf(stage, fleet);
      if (group === undefined) return [found(fleet.template, 'is of no group')];
      const { MinSize: minimum, MaxSize: maximum, DesiredCapacity: desired } = group.properties;
      const { FLEET_MINIMUM, FLEET_MAXIMUM } = fleet.variables;
      return [
        ...unless(
          minimum === FLEET_MINIMUM && maximum === FLEET_MAXIMUM,
          group,
          `has ${String(minimum)} to ${String(maximum)} instances, and its worker is told otherwise`,
        ),
        ...unless(Number(maximum) >= Math.max(1, Number(minimum)), group, `has at most ${String(maximum)} instances`),
        ...unless(desired === undefined, group, 'would undo at every deploy what a backlog asked for'),
      ];
    }),

  'a group is replaced one instance after another, new before old': (stage) =>
    groupsOf(stage).flatMap((group) => {
      const refresh = valueAt(stage.attribute(group, 'UpdatePolicy'), 'AutoScalingInstanceRefresh');
      const preferences = valueAt(refresh, 'Preferences');
      const isGood =
        valueAt(refresh, 'Strategy') === 'Rolling' &&
        valueAt(preferences, 'MinHealthyPercentage') === 100 &&
        Number(valueAt(preferences, 'MaxHealthyPercentage')) > 100;
      const { DefaultInstanceWarmup: warmUp, HealthCheckGracePeriod: grace, HealthCheckType: check } = group.properties;
      return [
        ...unless(isGood, group, 'stops instances before others work'),
        ...unless(Number(warmUp) >= WARM_UP_MIN_SECONDS, group, 'counts on an instance before it works'),
        ...unless(
          Number(warmUp) <= WARM_UP_MAX_SECONDS,
          group,
          `counts on no instance before ${String(warmUp)} s have passed`,
        ),
        ...unless(
          Number(grace) <= WARM_UP_MAX_SECONDS,
          group,
          `keeps an instance that has ended for ${String(grace)} s`,
        ),
        ...unless(check === 'EC2', group, 'does not look at the health of its instances'),
      ];
    }),

  'a group waits for the word of a worker that comes and of one that leaves': (stage) =>
    stage.fleets.flatMap((fleet) => {
      const group = groupOf(stage, fleet);
      const hooks = listOf(group?.properties.LifecycleHookSpecificationList);
      const { FLEET_GROUP, FLEET_LAUNCH_HOOK, FLEET_TERMINATION_HOOK, DRAIN_SECONDS } = fleet.variables;
      const hookOf = (transition: string, name: unknown, result: string) =>
        hooks.find(
          (hook) =>
            valueAt(hook, 'LifecycleTransition') === `autoscaling:EC2_INSTANCE_${transition}` &&
            valueAt(hook, 'LifecycleHookName') === name &&
            valueAt(hook, 'DefaultResult') === result,
        );
      const leaving = hookOf('TERMINATING', FLEET_TERMINATION_HOOK, 'CONTINUE');
      const waits = Number(valueAt(leaving, 'HeartbeatTimeout'));
      const coming = hookOf('LAUNCHING', FLEET_LAUNCH_HOOK, 'ABANDON');
      const comes = Number(valueAt(coming, 'HeartbeatTimeout'));
      const stops = Number(/^TimeoutStopSec=(\d+)$/m.exec(unitOf(fleet.script))?.[1]);
      return [
        ...unless(coming !== undefined, fleet.template, 'counts instances whose worker cannot work'),
        ...unless(
          comes >= BOOT_MAX_SECONDS + START_SECONDS_MAX && comes <= HOOK_MAX_SECONDS,
          fleet.template,
          `waits for ${comes} s for a worker that may need ${BOOT_MAX_SECONDS + START_SECONDS_MAX}`,
        ),
        ...unless(
          waits > Number(DRAIN_SECONDS) && waits > stops && waits <= HOOK_MAX_SECONDS,
          fleet.template,
          `waits for ${waits} s for a drain, and systemd for ${stops}`,
        ),
        ...unless(group?.properties.AutoScalingGroupName === FLEET_GROUP, fleet.template, 'is told of another group'),
      ];
    }),

  'a group gives up any of its instances, and buys them as its stage says': (stage) =>
    stage.fleets.flatMap((fleet) => {
      const group = groupOf(stage, fleet);
      const settings = Object.entries(stage.configuration.fleets).find(([name]) => name === fleet.name)?.[1];
      if (group === undefined || settings === undefined) return [found(fleet.template, 'is of no group or no stage')];
      const { NewInstancesProtectedFromScaleIn, MaxInstanceLifetime, MixedInstancesPolicy: mixed } = group.properties;
      const types = listOf(valueAt(mixed, 'LaunchTemplate', 'Overrides')).map((each) => valueAt(each, 'InstanceType'));
      const { spotInstanceTypes, instanceType, onDemandBase } = settings;
      const isSpot = spotInstanceTypes.length > 0;
      return [
        ...unless(NewInstancesProtectedFromScaleIn !== true, group, 'keeps every instance for ever'),
        ...unless(MaxInstanceLifetime === undefined, group, 'replaces instances that are well'),
        ...unless(
          valueAt(fleet.template.properties.LaunchTemplateData, 'InstanceMarketOptions') === undefined,
          fleet.template,
          'has instances that EC2 may take back, all of them',
        ),
        ...unless(
          isSpot
            ? types.join() === [instanceType, ...spotInstanceTypes].join() &&
                valueAt(mixed, 'InstancesDistribution', 'OnDemandBaseCapacity') === onDemandBase
            : mixed === undefined,
          group,
          'buys instances otherwise than its stage says',
        ),
      ];
    }),

  'a worker has half of the memory of its instance at the most': (stage) =>
    stage.fleets.flatMap(({ template, variables }) => {
      const type = textOf(valueAt(template.properties.LaunchTemplateData, 'InstanceType'));
      const memoryMib = instanceMemoryMib(type);
      const heapMib = Number(/--max-old-space-size=(\d+)/.exec(textOf(variables.NODE_OPTIONS))?.[1]);
      return unless(
        heapMib >= HEAP_MIN_MIB && heapMib <= memoryMib / 2,
        template,
        `gives its worker ${heapMib} of the ${memoryMib} MiB of ${type}`,
      );
    }),

  'a group tells CloudWatch its sizes, every minute': (stage) =>
    groupsOf(stage).flatMap((group) =>
      unless(
        JSON.stringify(group.properties.MetricsCollection) === '[{"Granularity":"1Minute"}]',
        group,
        'does not tell its sizes',
      ),
    ),
} satisfies Record<string, Rule>;

export function groupsOf(stage: Stage): Resource[] {
  return stage.of('AWS::AutoScaling::AutoScalingGroup');
}

export function groupOf(stage: Stage, fleet: Fleet): Resource | undefined {
  return groupsOf(stage).find(
    (group) => stage.referred(group.stack, valueAt(launchedBy(group), 'LaunchTemplateId')) === fleet.template,
  );
}

/** With Spot or without. */
function launchedBy({ properties }: Resource): unknown {
  const mixed = valueAt(properties.MixedInstancesPolicy, 'LaunchTemplate', 'LaunchTemplateSpecification');
  return properties.LaunchTemplate ?? mixed;
}

function roleOf(stage: Stage, { template }: Fleet): Resource | undefined {
  const arn = valueAt(template.properties.LaunchTemplateData, 'IamInstanceProfile', 'Arn');
  const profile = stage.referred(template.stack, arn);
  const roles = listOf(profile?.properties.Roles);
  return profile === undefined || roles.length !== 1 ? undefined : stage.referred(profile.stack, roles[0]);
}

function policiesOf(stage: Stage, role: Resource): Resource[] {
  return stage
    .of('AWS::IAM::Policy', 'AWS::IAM::ManagedPolicy')
    .filter(({ stack, properties }) => listOf(properties.Roles).some((each) => stage.referred(stack, each) === role));
}

function belongingsOf(stage: Stage, fleet: Fleet): Belongings {
  const { stack } = fleet.template;
  const { variables } = fleet;
  const queue = stage.referred(stack, variables.QUEUE_URL);
  return {
    queue,
    deadLetterQueue: stage.referred(stack, variables.DEAD_LETTER_QUEUE_URL),
    queueKey: queue === undefined ? undefined : stage.referred(queue.stack, queue.properties.KmsMasterKeyId),
    logGroup: stage
      .of('AWS::Logs::LogGroup')
      .find(({ properties }) => properties.LogGroupName === variables.FLEET_LOG_GROUP),
    group: groupOf(stage, fleet),
    bundle: `:::${textOf(variables.FLEET_BUNDLE_BUCKET)}/${textOf(variables.FLEET_BUNDLE_KEY)}`,
    login: loginOf(stage, fleet),
    hooks: `:autoScalingGroupName/${textOf(variables.FLEET_GROUP)}`,
  };
}

/** As the database tells it from others of its name, and as whom the worker is told to log in. */
function loginOf(stage: Stage, { template, variables }: Fleet): string {
  const host = stage.referred(template.stack, variables.PGHOST);
  return `:dbuser:${host?.id}.DbiResourceId/${textOf(variables.PGUSER)}`;
}

/** The name of what a statement is about, as far as it is the worker's own; otherwise how the template says it. */
function belonging(stage: Stage, policy: Resource, on: unknown, belongings: Belongings): string {
  const resource = stage.referred(policy.stack, on);
  const text = namedIn(stage, policy.stack, on);
  const own = Object.entries(belongings).find(([, each]) =>
    typeof each === 'string' ? text.endsWith(each) : each !== undefined && each === resource,
  );
  return own?.[0] ?? (resource === undefined ? text : `${resource.stack}/${resource.id}`);
}

/** A text whose references to attributes are named: `<resource>.<attribute>`, through exports too. */
function namedIn(stage: Stage, stack: string, value: unknown): string {
  const join = valueAt(value, 'Fn::Join');
  const reference = stage.reference(stack, value);
  if (reference?.attribute !== undefined) return `${reference.id}.${reference.attribute}`;
  if (join === undefined) return textOf(value);
  return listOf(valueAt(join, 1))
    .map((part) => namedIn(stage, stack, part))
    .join(String(valueAt(join, 0)));
}

function isKnownImage(stage: Stage, { stack }: Resource, image: unknown): boolean {
  const id = valueAt(image, 'Ref');
  const parameter = valueAt(stage.templates[stack], 'Parameters', String(id));
  if (parameter !== undefined) return IMAGE_PARAMETER.test(String(valueAt(parameter, 'Default')));
  // Pinned, by region.
  return valueAt(image, 'Fn::FindInMap') !== undefined;
}
