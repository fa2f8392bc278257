/**
 * A fleet of EC2 instances that take work out of one queue and store it in one database.
 *
 * What an instance runs is written once, as data, in its user data (fleet-user-data.ts). A change of it, of the
 * bundle or of the image changes the launch template, and the group replaces its instances one after another; each new
 * one counts only when its worker is ready, and each old one stays until its worker has drained (fleet-hooks.ts).
 *
 * Holds always: for as long as the group may launch an instance of some version, that version's bundle can be read.
 *
 * Nobody logs in: no key pair, no SSH, no session. An instance that misbehaves is replaced.
 */
import assert from 'node:assert/strict';
import { Duration, Stack } from 'aws-cdk-lib';
import * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { Construct } from 'constructs';
import {
  ACCEPTABLE_LATENCY_MIN_SECONDS,
  backlogPerInstanceMessages,
  INSTANCE_RATE_DEFAULT_MESSAGES_PER_SECOND,
} from './backlog-target.ts';
import { ClosedSecurityGroup } from './closed-security-group.ts';
import { grantLifecycleActions, LAUNCH_HOOK, lifecycleHooks, TERMINATION_HOOK } from './fleet-hooks.ts';
import { fleetImage, type PinnedImages } from './fleet-image.ts';
import { scaleOnBacklog } from './fleet-scaling.ts';
import { fleetUserData } from './fleet-user-data.ts';
import { memoryProblem } from './instance-types.ts';
import { HOOK_MAX_SECONDS, LEAVE_MARGIN_SECONDS, SPOT_DRAIN_MAX_SECONDS } from './leave-limits.ts';
import type { WorkQueue } from './work-queue.ts';
import { BUNDLE_ENTRY } from './worker-build.ts';
import { workerBundle } from './worker-bundle.ts';
import type { WorkerDatabase } from './worker-database.ts';
import { WorkerLog } from './worker-log.ts';
import { WorkerMetrics } from './worker-metrics.ts';
import { WORKER_NODE_OPTIONS } from './worker-node-options.ts';

/** From the first message on: until what an instance works off shows in the metrics of its queue, which come late. */
const INSTANCE_WARM_UP = Duration.minutes(3);
/** Above 100: a refresh starts the new instance before it stops the old, also in a group of one. */
const REFRESH_MAX_HEALTHY_PERCENTAGE = 150;
const MINIMUM_DEFAULT = 1;
const MAXIMUM_DEFAULT = 2;
const ON_DEMAND_BASE_DEFAULT = 1;

export interface WorkerFleetProps {
  /** Name of the fleet; lower-case letters, digits and hyphens. */
  readonly fleetName: string;

  /**
   * Name of the stage, for the workers' log lines and metrics.
   *
   * @default main
   */
  readonly stage?: string;

  /** Source file that the instances run, relative to the repository, bundled with all that it imports. */
  readonly entry: string;

  /** Queue that the fleet works off. */
  readonly workQueue: WorkQueue;

  /** Database that the fleet writes to: a `PostgresStore`, or another that can be told of so. */
  readonly store: WorkerDatabase;

  /** Network that the instances are in. */
  readonly vpc: ec2.IVpc;

  /**
   * Subnets that the instances are in; they need a way to SQS, CloudWatch Logs and S3.
   *
   * @default the private subnets with a way out
   */
  readonly vpcSubnets?: ec2.SubnetSelection;

  /**
   * Security group whose members may call AWS's services; the instances join it.
   *
   * @default none: the fleet's own group lets out over HTTPS to anywhere
   */
  readonly egress?: ec2.ISecurityGroup;

  /**
   * Type of the instances; Graviton, because the image is arm64, and with room for a worker: at least micro.
   *
   * @default t4g.micro
   */
  readonly instanceType?: ec2.InstanceType;

  /**
   * The fewest instances, also when there is nothing to do.
   *
   * With 0 the fleet starts at the first visible message. A queue that nobody has used for six hours is reported up to
   * a quarter of an hour late: 0 is for work that can wait as long.
   *
   * @default 1
   */
  readonly minimum?: number;

  /**
   * The most instances that a backlog can ask for; at least `minimum`, and at least 1.
   *
   * The database needs a connection for every one that they may open: `expectedConnections` counts them.
   *
   * @default 2, or `minimum` where that is more
   */
  readonly maximum?: number;

  /**
   * How long a message may wait before the fleet grows.
   *
   * @default 60 seconds, the shortest that CloudWatch can see
   */
  readonly acceptableLatency?: Duration;

  /**
   * Messages that one instance works off in a second, as measured.
   *
   * Together with `acceptableLatency` it says how many messages may wait for each instance; one at least.
   *
   * @default 2683, of the smallest write on a machine that is described there; measure your own
   */
  readonly messagesPerSecondPerInstance?: number;

  /**
   * Size of the encrypted root volume, in GiB.
   *
   * @default 8
   */
  readonly rootVolumeGib?: number;

  /**
   * How long a worker that is told to stop may take for what it holds.
   *
   * @default 60 seconds
   */
  readonly drainTimeout?: Duration;

  /**
   * How long the group waits for the word of a worker that leaves; a worker whose drain goes on asks for it again.
   *
   * At least a minute longer than `drainTimeout`, and at most two hours, which is what Auto Scaling takes.
   *
   * @default 180 seconds
   */
  readonly terminationHookTimeout?: Duration;

  /**
   * Types that instances may have as Spot, besides `instanceType`; each once.
   *
   * The more types, the seldomer all of them are taken back at once. EC2 gives two minutes' notice: a drain of at most 100
   * seconds fits in.
   *
   * @default none: all instances are on demand
   */
  readonly spotInstanceTypes?: readonly ec2.InstanceType[];

  /**
   * How many instances stay on demand before others are Spot; only with `spotInstanceTypes`.
   *
   * @default 1, so that a day without Spot leaves somebody at work
   */
  readonly onDemandBase?: number;

  /**
   * Images that the instances boot from, by region.
   *
   * @default the newest Amazon Linux 2023, at every deploy anew
   */
  readonly images?: PinnedImages;

  /**
   * The least severe line that a worker logs.
   *
   * @default info
   */
  readonly logLevel?: string;

  /**
   * Where the workers' lines and metrics go.
   *
   * @default a log group `/sluice/<stage>/<fleetName>` with a key of its own
   */
  readonly log?: WorkerLog;
}

/** With every default that more than one part of the fleet needs. */
type WholeProps = WorkerFleetProps &
  Required<
    Pick<
      WorkerFleetProps,
      | 'stage'
      | 'vpcSubnets'
      | 'instanceType'
      | 'minimum'
      | 'maximum'
      | 'acceptableLatency'
      | 'messagesPerSecondPerInstance'
    >
  >;

function withDefaults(props: WorkerFleetProps): WholeProps {
  return {
    stage: 'main',
    vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS },
    instanceType: new ec2.InstanceType('t4g.micro'),
    minimum: MINIMUM_DEFAULT,
    maximum: Math.max(props.minimum ?? MINIMUM_DEFAULT, MAXIMUM_DEFAULT),
    acceptableLatency: Duration.seconds(ACCEPTABLE_LATENCY_MIN_SECONDS),
    messagesPerSecondPerInstance: INSTANCE_RATE_DEFAULT_MESSAGES_PER_SECOND,
    ...props,
  };
}

export class WorkerFleet extends Construct implements iam.IGrantable, ec2.IConnectable {
  /** What grows and shrinks; `scaleOnSchedule` and the like are its own. */
  readonly autoScalingGroup: autoscaling.AutoScalingGroup;
  readonly role: iam.Role;
  readonly grantPrincipal: iam.IPrincipal;
  readonly connections: ec2.Connections;
  /** Visible messages that may wait for each instance before the fleet grows. */
  readonly backlogPerInstanceMessages: number;
  /** Visible messages for each instance: what the fleet grows on. */
  readonly backlogPerInstance: cloudwatch.IMetric;
  /** What its workers tell of themselves, such as `metrics.count('stored', {})`. */
  readonly metrics: WorkerMetrics;
  readonly log: WorkerLog;
  readonly #groupName: string;

  constructor(scope: Construct, id: string, given: WorkerFleetProps) {
    super(scope, id);
    const props = withDefaults(given);
    this.metrics = new WorkerMetrics({ stage: props.stage, worker: props.fleetName });
    this.backlogPerInstanceMessages = backlogPerInstanceMessages(
      props.acceptableLatency.toSeconds(),
      props.messagesPerSecondPerInstance,
    );
    this.#check(props);
    this.#checkLeaving(props);
    this.#groupName = `sluice-${props.stage}-${props.fleetName}`;

    const bundle = workerBundle(this, 'Bundle', props.entry);
    this.log = props.log ?? new WorkerLog(this, 'Log', { logGroupName: `/sluice/${props.stage}/${props.fleetName}` });
    this.role = this.#workerRole(props);
    this.grantPrincipal = this.role;
    const securityGroup = this.#securityGroup(props);
    this.connections = securityGroup.connections;
    this.autoScalingGroup = this.#group(props, this.#launchTemplate(props, bundle, securityGroup));
    // The way to the database is there before the first instance, and as long as the last one drains.
    this.autoScalingGroup.node.addDependency(securityGroup);
    this.backlogPerInstance = scaleOnBacklog(this, {
      autoScalingGroup: this.autoScalingGroup,
      queue: props.workQueue.queue,
      backlogPerInstanceMessages: this.backlogPerInstanceMessages,
      leavesZero: props.minimum === 0,
    });
  }

  #check(props: WholeProps): void {
    const { minimum, maximum } = props;
    if (!Number.isInteger(minimum) || minimum < 0) {
      throw new Error(`${this.node.path}: minimum is ${minimum}; allowed: a whole number, at least 0`);
    }
    if (!Number.isInteger(maximum) || maximum < Math.max(minimum, 1)) {
      throw new Error(
        `${this.node.path}: maximum is ${maximum}; allowed: a whole number, at least 1 and at least minimum, ${minimum}`,
      );
    }
    if (!(this.backlogPerInstanceMessages >= 1)) {
      throw new Error(
        `${this.node.path}: acceptableLatency is ${props.acceptableLatency.toSeconds()} s and messagesPerSecondPerInstance ${props.messagesPerSecondPerInstance}; allowed: at least one message within the latency`,
      );
    }
    const types = [props.instanceType, ...(props.spotInstanceTypes ?? [])];
    const names = types.map((type) => type.toString());
    const twice = names.find((name, index) => names.indexOf(name) < index);
    if (twice !== undefined) {
      throw new Error(
        `${this.node.path}: spotInstanceTypes has ${twice}; allowed: types other than instanceType, ${names[0]}, each of them once`,
      );
    }
    for (const type of types) {
      if (type.architecture !== ec2.InstanceArchitecture.ARM_64) {
        throw new Error(
          `${this.node.path}: instanceType is ${type.toString()}; allowed: a Graviton type such as t4g.micro, because the image is arm64`,
        );
      }
      const tooSmall = memoryProblem(type.toString());
      if (tooSmall !== undefined) {
        throw new Error(`${this.node.path}: instanceType is ${type.toString()}; allowed: ${tooSmall}`);
      }
    }
  }

  #checkLeaving(props: WorkerFleetProps): void {
    const hookSeconds = terminationHookSeconds(props);
    if (hookSeconds > HOOK_MAX_SECONDS) {
      throw new Error(
        `${this.node.path}: terminationHookTimeout is ${hookSeconds} s; allowed: at most ${HOOK_MAX_SECONDS} s`,
      );
    }
    const isSpot = (props.spotInstanceTypes ?? []).length > 0;
    const drainMax = Math.min(hookSeconds - LEAVE_MARGIN_SECONDS, isSpot ? SPOT_DRAIN_MAX_SECONDS : HOOK_MAX_SECONDS);
    if (drainSeconds(props) > drainMax) {
      const why = isSpot ? `, and of a Spot notice ${SPOT_DRAIN_MAX_SECONDS} s are left` : '';
      throw new Error(
        `${this.node.path}: drainTimeout is ${drainSeconds(props)} s; allowed: at most ${drainMax} s, because terminationHookTimeout is ${hookSeconds} s and ${LEAVE_MARGIN_SECONDS} s of it are for what is not the drain${why}`,
      );
    }
  }

  /** What the worker does, and nothing else: no managed policy, no session, no other object of the asset bucket. */
  #workerRole(props: WholeProps): iam.Role {
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
      description: `Worker of the fleet ${props.fleetName}: its queue, its login to the database, its own bundle`,
    });
    props.workQueue.grantConsume(role);
    props.store.grantConnect(role);
    this.log.grantWrite(role);
    grantLifecycleActions(Stack.of(this), this.#groupName, role);
    return role;
  }

  /**
   * The right to read one bundle, as a resource of its own that is called after the bundle.
   *
   * A changed right would be changed before the group is, and what the group launches until then from the old version, or
   * in a rollback, would be refused its bundle. So CloudFormation makes another, and takes the old one away at its very end.
   */
  #bundleRight(bundle: Asset): iam.Policy {
    const policy = new iam.Policy(this, 'BundleRight', {
      roles: [this.role],
      statements: [
        new iam.PolicyStatement({
          actions: ['s3:GetObject'],
          resources: [bundle.bucket.arnForObjects(bundle.s3ObjectKey)],
        }),
      ],
    });
    const { defaultChild } = policy.node;
    assert(defaultChild instanceof iam.CfnPolicy, 'a policy is one resource');
    defaultChild.overrideLogicalId(`${Stack.of(this).getLogicalId(defaultChild)}${bundle.assetHash}`);
    return policy;
  }

  #securityGroup(props: WholeProps): ec2.SecurityGroup {
    const securityGroup = new ClosedSecurityGroup(this, 'SecurityGroup', {
      vpc: props.vpc,
      description: `Workers of the fleet ${props.fleetName}: nothing in, out to the database`,
    });
    if (props.egress === undefined) {
      securityGroup.addEgressRule(ec2.Peer.anyIpv4(), ec2.Port.HTTPS, 'AWS services and the package repository');
    }
    securityGroup.connections.allowToDefaultPort(props.store, `Workers of the fleet ${props.fleetName}`);
    return securityGroup;
  }

  #launchTemplate(props: WholeProps, bundle: Asset, securityGroup: ec2.SecurityGroup): ec2.LaunchTemplate {
    const userData = fleetUserData({
      name: props.fleetName,
      entry: BUNDLE_ENTRY,
      bundleBucket: bundle.s3BucketName,
      bundleKey: bundle.s3ObjectKey,
      groupName: this.#groupName,
      launchHookName: LAUNCH_HOOK,
      terminationHookName: TERMINATION_HOOK,
      logGroupName: this.log.logGroupName,
      minimum: props.minimum,
      maximum: props.maximum,
      drainSeconds: drainSeconds(props),
      environment: {
        STAGE: props.stage,
        AWS_REGION: Stack.of(this).region,
        QUEUE_URL: props.workQueue.queue.queueUrl,
        DEAD_LETTER_QUEUE_URL: props.workQueue.deadLetterQueue.queueUrl,
        LOG_LEVEL: props.logLevel ?? 'info',
        NODE_OPTIONS: WORKER_NODE_OPTIONS,
        ...props.store.environment,
      },
    });
    const launchTemplate = new ec2.LaunchTemplate(this, 'LaunchTemplate', {
      machineImage: fleetImage(props.images ?? {}),
      instanceType: props.instanceType,
      userData: ec2.UserData.custom(userData),
      role: this.role,
      securityGroup,
      // One hop: what a worker might start in a container or forward from elsewhere gets no credentials.
      httpTokens: ec2.LaunchTemplateHttpTokens.REQUIRED,
      httpPutResponseHopLimit: 1,
      blockDevices: [
        {
          deviceName: '/dev/xvda',
          volume: ec2.BlockDeviceVolume.ebs(props.rootVolumeGib ?? 8, {
            encrypted: true,
            volumeType: ec2.EbsDeviceVolumeType.GP3,
            deleteOnTermination: true,
          }),
        },
      ],
    });
    if (props.egress !== undefined) launchTemplate.addSecurityGroup(props.egress);
    // What the first instance boots with is there: a place for its lines, and the right to its bundle.
    launchTemplate.node.addDependency(this.log, this.#bundleRight(bundle));
    return launchTemplate;
  }

  /** The desired capacity stays unset: a deploy must not undo what a backlog asked for. */
  #group(props: WholeProps, launchTemplate: ec2.LaunchTemplate): autoscaling.AutoScalingGroup {
    const group = new autoscaling.AutoScalingGroup(this, 'Group', {
      autoScalingGroupName: this.#groupName,
      vpc: props.vpc,
      vpcSubnets: props.vpcSubnets,
      ...this.#purchase(props, launchTemplate),
      minCapacity: props.minimum,
      maxCapacity: props.maximum,
      groupMetrics: [autoscaling.GroupMetrics.all()],
      healthChecks: autoscaling.HealthChecks.ec2({ gracePeriod: INSTANCE_WARM_UP }),
      defaultInstanceWarmup: INSTANCE_WARM_UP,
      // CloudFormation reads it from the template that it rolls back to: it has to stay in every version.
      updatePolicy: autoscaling.UpdatePolicy.instanceRefresh({
        strategy: autoscaling.InstanceRefreshStrategy.ROLLING,
        minHealthyPercentage: 100,
        maxHealthyPercentage: REFRESH_MAX_HEALTHY_PERCENTAGE,
      }),
    });
    const { defaultChild } = group.node;
    assert(defaultChild instanceof autoscaling.CfnAutoScalingGroup, 'a group is one resource');
    defaultChild.lifecycleHookSpecificationList = lifecycleHooks(terminationHookSeconds(props));
    // Its first instances complete the launch hook, for which their rights have to be there.
    group.node.addDependency(this.role);
    return group;
  }

  /** Spot from the pools that are least likely to be taken back; those that are about to be are replaced before. */
  #purchase(
    props: WholeProps,
    launchTemplate: ec2.LaunchTemplate,
  ): Pick<autoscaling.AutoScalingGroupProps, 'launchTemplate' | 'mixedInstancesPolicy' | 'capacityRebalance'> {
    const { spotInstanceTypes = [], instanceType, onDemandBase = ON_DEMAND_BASE_DEFAULT } = props;
    if (spotInstanceTypes.length === 0) return { launchTemplate };
    return {
      mixedInstancesPolicy: {
        launchTemplate,
        launchTemplateOverrides: [instanceType, ...spotInstanceTypes].map((type) => ({ instanceType: type })),
        instancesDistribution: {
          onDemandBaseCapacity: onDemandBase,
          onDemandPercentageAboveBaseCapacity: 0,
          onDemandAllocationStrategy: autoscaling.OnDemandAllocationStrategy.PRIORITIZED,
          spotAllocationStrategy: autoscaling.SpotAllocationStrategy.PRICE_CAPACITY_OPTIMIZED,
        },
      },
      capacityRebalance: true,
    };
  }
}

function drainSeconds({ drainTimeout = Duration.seconds(60) }: WorkerFleetProps): number {
  return drainTimeout.toSeconds();
}

function terminationHookSeconds({ terminationHookTimeout = Duration.seconds(180) }: WorkerFleetProps): number {
  return terminationHookTimeout.toSeconds();
}
