/**
 * What a synthesized app costs in a month in which nothing is sent to it: every resource of its templates at the prices of
 * docs/prices.json, which says where each was found.
 *
 * Left out is what grows with use: requests, messages, gigabytes, log lines. So is every free allowance, because it may be
 * spent elsewhere in the account.
 *
 * Holds always: a type of resource is priced here or stands in the file among those that cost by their use alone; any other
 * is an error, and so is a class, a type of instance or of storage without a price.
 */
import { z } from 'zod';
import pricesJson from '../../docs/prices.json' with { type: 'json' };
import { COUNTS, GAUGES } from '../../workers/runtime/metric-names.ts';
import { type Resource, type Synthesized, valuesIn } from './synthesized.ts';

const priceListSchema = z.strictObject({
  region: z.string(),
  currency: z.literal('USD'),
  lookedUp: z.iso.date(),
  caution: z.string(),
  hoursPerMonth: z.literal(730),
  sources: z.record(z.string(), z.strictObject({ address: z.url(), copyOf: z.string(), what: z.string() })),
  prices: z.record(
    z.string(),
    z.strictObject({
      usd: z.number().positive(),
      per: z.enum(['hour', 'month']),
      source: z.string(),
      note: z.string().optional(),
    }),
  ),
  notFound: z.record(z.string(), z.string()),
  byUseAlone: z.array(z.string()),
});

export const priceList = priceListSchema.parse(pricesJson);

export interface CostLine {
  /** Name of its price. */
  readonly what: string;
  readonly quantity: number;
  /** Undefined where the file says that the price was not found. */
  readonly usdPerMonth: number | undefined;
}

type Quantities = readonly (readonly [what: string, quantity: number])[];
type Pricing = (resource: Resource, app: Synthesized) => Quantities;

/** One line per price, in the order of the file. @throws Error naming what has no price. */
export function idleCost(app: Synthesized): CostLine[] {
  const quantities = new Map<string, number>();
  for (const resource of app.resources) {
    for (const [what, quantity] of quantitiesOf(resource, app)) {
      quantities.set(what, (quantities.get(what) ?? 0) + quantity);
    }
  }
  const names = [...Object.keys(priceList.prices), ...Object.keys(priceList.notFound)];
  const unknown = [...quantities.keys()].filter((what) => !names.includes(what));
  if (unknown.length > 0) throw new Error(`docs/prices.json has no price for ${unknown.join(', ')}`);
  return names.flatMap((what) => {
    const quantity = quantities.get(what) ?? 0;
    return quantity === 0 ? [] : [{ what, quantity, usdPerMonth: usdPerMonth(what, quantity) }];
  });
}

export function totalUsd(lines: readonly CostLine[]): number {
  return lines.reduce((sum, { usdPerMonth }) => sum + (usdPerMonth ?? 0), 0);
}

function usdPerMonth(what: string, quantity: number): number | undefined {
  const price = priceList.prices[what];
  if (price === undefined) return undefined;
  return price.usd * quantity * (price.per === 'hour' ? priceList.hoursPerMonth : 1);
}

/** What is paid for a resource, by the names of the prices. */
export function quantitiesOf(resource: Resource, app: Synthesized): Quantities {
  const pricing = PRICINGS[resource.type];
  if (pricing !== undefined) return pricing(resource, app);
  if (priceList.byUseAlone.includes(resource.type)) return [];
  throw new Error(
    `${resource.stack}: ${resource.id} is of type ${resource.type}, which has no price; add one to docs/prices.json, or the type to byUseAlone`,
  );
}

const PRICINGS: Readonly<Record<string, Pricing>> = {
  'AWS::AutoScaling::AutoScalingGroup': fleet,
  'AWS::AutoScaling::ScalingPolicy': alarmsOfPolicy,
  'AWS::CloudWatch::Alarm': ({ properties }) => [['metric of an alarm', metricsOf(properties)]],
  'AWS::CloudWatch::CompositeAlarm': () => [['composite alarm', 1]],
  'AWS::CloudWatch::Dashboard': () => [['dashboard', 1]],
  'AWS::EC2::EIP': () => [['public IPv4 address', 1]],
  'AWS::EC2::NatGateway': () => [['NAT gateway', 1]],
  'AWS::EC2::VPCEndpoint': endpoint,
  'AWS::KMS::Key': () => [['KMS key', 1]],
  'AWS::RDS::DBInstance': database,
  'AWS::SecretsManager::Secret': () => [['secret', 1]],
};

const endpointSchema = z.discriminatedUnion('VpcEndpointType', [
  z.looseObject({ VpcEndpointType: z.literal('Gateway') }),
  z.looseObject({ VpcEndpointType: z.literal('Interface'), SubnetIds: z.array(z.unknown()) }),
]);

function endpoint({ properties }: Resource): Quantities {
  const parsed = endpointSchema.parse(properties);
  return parsed.VpcEndpointType === 'Gateway' ? [] : [['interface endpoint in a zone', parsed.SubnetIds.length]];
}

const databaseSchema = z.looseObject({
  DBInstanceClass: z.string(),
  AllocatedStorage: z.coerce.number(),
  StorageType: z.literal('gp3'),
  MultiAZ: z.boolean(),
  ManageMasterUserPassword: z.boolean().default(false),
  DatabaseInsightsMode: z.string().default('standard'),
});

function database({ properties }: Resource): Quantities {
  const parsed = databaseSchema.parse(properties);
  const zones = parsed.MultiAZ ? 2 : 1;
  return [
    [`database ${parsed.DBInstanceClass} in a zone`, zones],
    ['database storage gp3, GiB in a zone', parsed.AllocatedStorage * zones],
    ['secret', parsed.ManageMasterUserPassword ? 1 : 0],
    [
      'Database Insights, advanced, vCPU',
      parsed.DatabaseInsightsMode === 'advanced' ? processorsOf(parsed.DBInstanceClass) * zones : 0,
    ],
  ];
}

/**
 * Virtual processors of a Graviton class (RDS, DB instance classes).
 *
 * Those of a standby are counted too, as all else of it is; whether AWS bills insights for them was not found.
 */
function processorsOf(instanceClass: string): number {
  const size = instanceClass.split('.').at(-1) ?? '';
  if (['micro', 'small', 'medium', 'large'].includes(size)) return 2;
  const [, times] = /^(\d*)xlarge$/.exec(size) ?? [];
  if (times === undefined) throw new Error(`${instanceClass} is of no size whose processors are known`);
  return 4 * Number(times === '' ? 1 : times);
}

const launchTemplateSchema = z.looseObject({
  LaunchTemplateData: z.looseObject({
    InstanceType: z.string(),
    BlockDeviceMappings: z.array(
      z.looseObject({ Ebs: z.looseObject({ VolumeType: z.literal('gp3'), VolumeSize: z.number() }) }),
    ),
    Monitoring: z.looseObject({ Enabled: z.boolean() }).optional(),
  }),
});
/** What EC2 tells every minute of an instance with detailed monitoring. */
const DETAILED_METRICS = 7;

/** Its fewest instances, on demand, and what their workers tell while nothing comes. */
function fleet(group: Resource, app: Synthesized): Quantities {
  const minimum = z.coerce.number().parse(group.properties.MinSize);
  const [reference] = [...valuesIn(group.properties)].filter(({ key }) => key === 'LaunchTemplateId');
  const { Ref: id } = z.object({ Ref: z.string() }).parse(reference?.value);
  const template = app.resources.find((resource) => resource.stack === group.stack && resource.id === id);
  const { InstanceType, BlockDeviceMappings, Monitoring } = launchTemplateSchema.parse(
    template?.properties,
  ).LaunchTemplateData;
  const volumesGib = BlockDeviceMappings.reduce((sum, { Ebs }) => sum + Ebs.VolumeSize, 0);
  const detailed = Monitoring?.Enabled === true ? minimum * DETAILED_METRICS : 0;
  // The seconds of one operation, the receive, come to those that every line has.
  const told = minimum === 0 ? 0 : Object.keys(COUNTS).length + Object.keys(GAUGES).length + 1;
  return [
    [`instance ${InstanceType}`, minimum],
    ['volume gp3, GiB', minimum * volumesGib],
    ['custom metric', detailed + told],
  ];
}

/** Target tracking makes two alarms of its own, each on all the metrics that it is given. */
function alarmsOfPolicy({ properties }: Resource): Quantities {
  return properties.TargetTrackingConfiguration === undefined
    ? []
    : [['metric of an alarm', 2 * metricsOf(properties)]];
}

/** An alarm on an expression is billed for each metric in it. */
function metricsOf(properties: Record<string, unknown>): number {
  const stats = [...valuesIn(properties)].filter(({ key }) => key === 'MetricStat').length;
  return Math.max(1, stats);
}
