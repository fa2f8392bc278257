/** What can be wrong with the fleets in a template, one at a time. */
import { BUNDLE_RIGHT, DATA, GROUP, WORKER } from './places.ts';
import { attribute, located, property, removed, type TemplateDefect, text } from './planting.ts';

export const fleets: readonly TemplateDefect[] = [
  {
    what: 'a right to the bundle that is changed before the group is, and refuses the old version its own',
    plant: (templates) => {
      const { stack, id } = located(templates, BUNDLE_RIGHT);
      const { Resources } = templates[stack]!;
      Object.assign(Resources, { OrdersFleetBundleRight: Resources[id] });
      Reflect.deleteProperty(Resources, id);
    },
  },
  {
    what: 'a right to the bundle that comes after the first instance',
    plant: attribute(WORKER, ['DependsOn'], undefined),
  },
  {
    what: 'credentials without a token (IMDSv1)',
    plant: property(WORKER, [...DATA, 'MetadataOptions', 'HttpTokens'], 'optional'),
  },
  {
    what: 'credentials over two hops',
    plant: property(WORKER, [...DATA, 'MetadataOptions', 'HttpPutResponseHopLimit'], 2),
  },
  { what: 'a key pair', plant: property(WORKER, [...DATA, 'KeyName'], 'mine') },
  {
    what: 'instances with a public address',
    plant: property(WORKER, [...DATA, 'NetworkInterfaces'], [{ DeviceIndex: 0, AssociatePublicIpAddress: true }]),
  },
  {
    what: 'instances of another processor than the image',
    plant: property(WORKER, [...DATA, 'InstanceType'], 'm7i.large'),
  },
  {
    what: 'an image of somebody else',
    plant: (templates) => {
      const { Parameters } = templates['sluice-prod-compute']!;
      const image = Object.values(Object(Parameters)).find((each) => JSON.stringify(each).includes('al2023'));
      Object.assign(Object(image), { Default: '/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2' });
    },
  },
  { what: 'a worker without a role', plant: property(WORKER, [...DATA, 'IamInstanceProfile'], undefined) },
  { what: 'instances in no security group', plant: property(WORKER, [...DATA, 'SecurityGroupIds'], undefined) },
  {
    what: 'a group that waits for no word of a new worker',
    plant: text(GROUP, 'autoscaling:EC2_INSTANCE_LAUNCHING', 'autoscaling:EC2_INSTANCE_TERMINATING'),
  },
  {
    what: 'a hook that lets an instance through whose worker said nothing',
    plant: text(GROUP, '"DefaultResult":"ABANDON"', '"DefaultResult":"CONTINUE"'),
  },
  {
    what: 'a hook that ends before the drain',
    plant: text(
      GROUP,
      /"DefaultResult":"CONTINUE","HeartbeatTimeout":\d+/,
      '"DefaultResult":"CONTINUE","HeartbeatTimeout":30',
    ),
  },
  { what: 'a group without hooks', plant: property(GROUP, ['LifecycleHookSpecificationList'], undefined) },
  {
    what: 'a launch template that a deploy does not follow',
    plant: property(GROUP, ['LaunchTemplate', 'Version'], '1'),
  },
  { what: 'a size that every deploy sets back', plant: property(GROUP, ['DesiredCapacity'], '2') },
  { what: 'a group that may have no instance', plant: property(GROUP, ['MaxSize'], '0') },
  { what: 'a group larger than its stage says', plant: property(GROUP, ['MaxSize'], '50') },
  {
    what: 'a deploy that stops instances before others work',
    plant: attribute(GROUP, ['UpdatePolicy', 'AutoScalingInstanceRefresh', 'Preferences', 'MinHealthyPercentage'], 0),
  },
  { what: 'a deploy that replaces nothing', plant: attribute(GROUP, ['UpdatePolicy'], undefined) },
  { what: 'a group that does not tell its sizes', plant: property(GROUP, ['MetricsCollection'], undefined) },
  { what: 'instances that count before they work', plant: property(GROUP, ['DefaultInstanceWarmup'], 0) },
  { what: 'instances that count after two hours', plant: property(GROUP, ['DefaultInstanceWarmup'], 7200) },
  { what: 'instances that have ended and stay for hours', plant: property(GROUP, ['HealthCheckGracePeriod'], 7200) },
  {
    what: 'a hook that gives a new worker a minute',
    plant: text(
      GROUP,
      /"DefaultResult":"ABANDON","HeartbeatTimeout":\d+/,
      '"DefaultResult":"ABANDON","HeartbeatTimeout":60',
    ),
  },
  {
    what: 'a hook that ends while systemd still waits for the worker',
    plant: text(
      GROUP,
      /"DefaultResult":"CONTINUE","HeartbeatTimeout":\d+/,
      '"DefaultResult":"CONTINUE","HeartbeatTimeout":75',
    ),
  },
  {
    what: 'instances that no shrinking takes away',
    plant: property(GROUP, ['NewInstancesProtectedFromScaleIn'], true),
  },
  { what: 'instances that are replaced every day', plant: property(GROUP, ['MaxInstanceLifetime'], 86_400) },
  {
    what: 'instances that EC2 may take back, all at once',
    plant: property(WORKER, [...DATA, 'InstanceMarketOptions'], { MarketType: 'spot' }),
  },
  {
    what: 'a worker that may take all the memory of its instance',
    plant: text(WORKER, '--max-old-space-size=384', '--max-old-space-size=4096'),
  },
  {
    what: 'a worker without memory for a batch',
    plant: text(WORKER, '--max-old-space-size=384', '--max-old-space-size=32'),
  },
  { what: 'instances that may not call AWS', plant: property(WORKER, [...DATA, 'SecurityGroupIds', 1], undefined) },
  {
    what: 'workers that their database does not let in',
    plant: removed('compute/OrdersFleetSecurityGroupsluiceproddataStoreSecurityGroup606B034B5432to14767BED'),
  },
  {
    what: 'workers that are not let out to their database',
    plant: removed('compute/OrdersFleetSecurityGrouptosluiceproddataStoreSecurityGroup606B034B54325FBEB2EC'),
  },
  {
    what: 'workers that look for their database at another port',
    plant: text(WORKER, '"PGPORT":"5432"', '"PGPORT":"5433"'),
  },
  { what: 'workers of another database', plant: text(WORKER, '"PGDATABASE":"sluice"', '"PGDATABASE":"postgres"') },
  {
    what: 'a group that waits longer for a worker that leaves than its stage says',
    plant: text(GROUP, '"HeartbeatTimeout":180', '"HeartbeatTimeout":1800'),
  },
];
