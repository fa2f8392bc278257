/**
 * What a synthesized app says about the size of one fleet: its group, the alarms that act on it, and its policies.
 *
 * Everything is read from the templates, and every reference is resolved as CloudFormation would. What is not
 * understood is an error.
 */
import { z } from 'zod';
import { constructId } from '../../../lib/workloads.ts';
import type { AssemblyStack } from '../../../local/assembly/assembly.ts';
import { Intrinsics } from '../../../local/assembly/intrinsics.ts';
import type { Template } from '../synthesized.ts';

/** A metric of one queue or group: namespace, name and dimensions as one text. */
export type MetricKey = string;

export interface MetricQuery {
  readonly id: string;
  readonly returned: boolean;
  readonly source: { readonly expression: string } | { readonly metric: MetricKey; readonly periodSeconds: number };
}

export interface ScalingAlarm {
  readonly id: string;
  readonly queries: readonly MetricQuery[];
  readonly comparison: string;
  readonly threshold: number;
  readonly evaluationPeriods: number;
  readonly datapointsToAlarm: number;
  readonly missing: string;
  /** Logical ids of the policies that it sets going. */
  readonly policies: readonly string[];
}

export interface Step {
  /** Counted from the alarm's threshold; without end where infinite. */
  readonly lower: number;
  readonly upper: number;
  readonly adjustment: number;
}

export interface Tracking {
  readonly queries: readonly MetricQuery[];
  readonly target: number;
  readonly scaleInDisabled: boolean;
}

export interface FleetPlan {
  readonly group: string;
  readonly minimum: number;
  readonly maximum: number;
  readonly warmUpMinutes: number;
  /** Whether the group tells CloudWatch its sizes. */
  readonly reportsGroupMetrics: boolean;
  readonly alarms: readonly ScalingAlarm[];
  readonly steps: ReadonlyMap<string, readonly Step[]>;
  readonly trackings: readonly Tracking[];
}

export function metricKey(namespace: string, name: string, dimensions: Readonly<Record<string, string>>): MetricKey {
  return `${namespace} ${name} ${JSON.stringify(dimensions)}`;
}

const dimensionsSchema = z
  .array(z.object({ Name: z.string(), Value: z.string() }))
  .transform((pairs) => Object.fromEntries(pairs.map(({ Name, Value }) => [Name, Value])));
const querySchema = z
  .strictObject({
    Id: z.string(),
    Expression: z.string().optional(),
    Label: z.string().optional(),
    MetricStat: z
      .strictObject({
        Metric: z.strictObject({ Namespace: z.string(), MetricName: z.string(), Dimensions: dimensionsSchema }),
        Period: z.number(),
        Stat: z.string(),
      })
      .optional(),
    ReturnData: z.boolean().default(true),
  })
  .transform(({ Id, Expression, MetricStat, ReturnData }, context): MetricQuery => {
    if (Expression !== undefined) return { id: Id, returned: ReturnData, source: { expression: Expression } };
    if (MetricStat === undefined) {
      context.addIssue({ code: 'custom', message: `${Id} has neither an expression nor a metric` });
      return z.NEVER;
    }
    const { Namespace, MetricName, Dimensions } = MetricStat.Metric;
    const metric = metricKey(Namespace, MetricName, Dimensions);
    return { id: Id, returned: ReturnData, source: { metric, periodSeconds: MetricStat.Period } };
  });
const alarmSchema = z.object({
  Metrics: z.array(querySchema),
  ComparisonOperator: z.string(),
  Threshold: z.number(),
  EvaluationPeriods: z.number(),
  DatapointsToAlarm: z.number().optional(),
  TreatMissingData: z.string().default('missing'),
});
const actionsSchema = z.object({ AlarmActions: z.array(z.unknown()).default([]) });
const stepPolicySchema = z.object({
  PolicyType: z.literal('StepScaling'),
  AdjustmentType: z.literal('ChangeInCapacity'),
  StepAdjustments: z.array(
    z
      .object({
        MetricIntervalLowerBound: z.number().default(Number.NEGATIVE_INFINITY),
        MetricIntervalUpperBound: z.number().default(Number.POSITIVE_INFINITY),
        ScalingAdjustment: z.number(),
      })
      .transform(
        (step): Step => ({
          lower: step.MetricIntervalLowerBound,
          upper: step.MetricIntervalUpperBound,
          adjustment: step.ScalingAdjustment,
        }),
      ),
  ),
});
const trackingPolicySchema = z.object({
  PolicyType: z.literal('TargetTrackingScaling'),
  TargetTrackingConfiguration: z.object({
    TargetValue: z.number(),
    DisableScaleIn: z.boolean().default(false),
    CustomizedMetricSpecification: z.object({ Metrics: z.array(querySchema) }),
  }),
});
const groupSchema = z.object({
  MinSize: z.coerce.number(),
  MaxSize: z.coerce.number(),
  DefaultInstanceWarmup: z.number(),
  MetricsCollection: z.array(z.strictObject({ Granularity: z.literal('1Minute') })).default([]),
});
const templateSchema = z.object({
  Resources: z.record(z.string(), z.object({ Type: z.string(), Properties: z.record(z.string(), z.unknown()) })),
  Parameters: z.record(z.string(), z.object({ Type: z.string(), Default: z.unknown().optional() })).default({}),
  Outputs: z
    .record(z.string(), z.object({ Value: z.unknown(), Export: z.object({ Name: z.unknown() }).optional() }))
    .default({}),
  Mappings: z.record(z.string(), z.unknown()).default({}),
});

/** @param templates by stack name */
export function readFleetPlan(templates: Readonly<Record<string, Template>>, fleetName: string): FleetPlan {
  const stacks = Object.entries(templates).map(
    ([stackName, template]): AssemblyStack => ({
      stackName,
      template: templateSchema.parse(template),
      assetPaths: new Map(),
    }),
  );
  const intrinsics = new Intrinsics(stacks, known, { accountId: '000000000000', region: 'us-east-1' });
  const stack = stacks.find(({ template }) => groupIn(template, fleetName) !== undefined)!;
  const groupId = groupIn(stack.template, fleetName)!;
  const resolved = (type: string) =>
    Object.entries(stack.template.Resources)
      .filter(([, resource]) => resource.Type === type)
      .map(([id, resource]) => ({ id, properties: resource.Properties }));
  const properties = (value: Record<string, unknown>) =>
    z.record(z.string(), z.unknown()).parse(intrinsics.resolve(value, stack));

  const group = physicalName(stack, groupId);
  const policies = resolved('AWS::AutoScaling::ScalingPolicy').filter(
    (policy) => intrinsics.resolve(policy.properties.AutoScalingGroupName, stack) === group,
  );
  const ids = new Map(policies.map(({ id }) => [physicalName(stack, id), id]));
  const alarms = resolved('AWS::CloudWatch::Alarm').flatMap((alarm): ScalingAlarm[] => {
    const actions = intrinsics.resolve(alarm.properties.AlarmActions ?? [], stack);
    const acting = actionsSchema
      .parse({ AlarmActions: actions })
      .AlarmActions.flatMap((action) => ids.get(String(action)) ?? []);
    if (acting.length === 0) return [];
    const read = alarmSchema.parse(properties(alarm.properties));
    return [
      {
        id: alarm.id,
        queries: read.Metrics,
        comparison: read.ComparisonOperator,
        threshold: read.Threshold,
        evaluationPeriods: read.EvaluationPeriods,
        datapointsToAlarm: read.DatapointsToAlarm ?? read.EvaluationPeriods,
        missing: read.TreatMissingData,
        policies: acting,
      },
    ];
  });
  const read = groupSchema.parse(stack.template.Resources[groupId]!.Properties);
  const steps = new Map<string, readonly Step[]>();
  const trackings: Tracking[] = [];
  for (const policy of policies) {
    const parsed = z.union([stepPolicySchema, trackingPolicySchema]).parse(properties(policy.properties));
    if (parsed.PolicyType === 'StepScaling') {
      steps.set(policy.id, parsed.StepAdjustments);
      continue;
    }
    const { TargetValue, DisableScaleIn, CustomizedMetricSpecification } = parsed.TargetTrackingConfiguration;
    trackings.push({
      queries: CustomizedMetricSpecification.Metrics,
      target: TargetValue,
      scaleInDisabled: DisableScaleIn,
    });
  }
  return {
    group,
    minimum: read.MinSize,
    maximum: read.MaxSize,
    warmUpMinutes: read.DefaultInstanceWarmup / 60,
    reportsGroupMetrics: read.MetricsCollection.length > 0,
    alarms,
    steps,
    trackings,
  };
}

const known = {
  ref: (_type: string, _properties: Record<string, unknown>, stack: AssemblyStack, logicalId: string) =>
    physicalName(stack, logicalId),
  attribute: (type: string, attribute: string, properties: Record<string, unknown>) =>
    type === 'AWS::SQS::Queue' && attribute === 'QueueName' ? properties.QueueName : undefined,
};

/** Of a group or a policy, which AWS would name at its creation. */
function physicalName({ stackName }: { readonly stackName: string }, logicalId: string): string {
  return `${stackName}/${logicalId}`;
}

function groupIn(template: AssemblyStack['template'], fleetName: string): string | undefined {
  return Object.entries(template.Resources).find(
    ([id, { Type }]) =>
      Type === 'AWS::AutoScaling::AutoScalingGroup' && id.startsWith(`${constructId(fleetName)}FleetGroup`),
  )?.[0];
}
