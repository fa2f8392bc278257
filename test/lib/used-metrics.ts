/** The metrics that alarms and dashboards of a template look at, and those that workers really write. */
import { z } from 'zod';
import { Telemetry } from '../../workers/runtime/telemetry.ts';
import { type Resource, valuesIn } from './synthesized.ts';

/** What AWS's services report, and about what: their user guides' lists of metrics, as far as anything here uses them. */
export const AWS_METRICS: Readonly<
  Record<string, { readonly dimension: string; readonly type: string; readonly names: readonly string[] }>
> = {
  'AWS/SQS': {
    dimension: 'QueueName',
    type: 'AWS::SQS::Queue',
    names: [
      'ApproximateAgeOfOldestMessage',
      'ApproximateNumberOfGroupsWithInflightMessages',
      'ApproximateNumberOfMessagesDelayed',
      'ApproximateNumberOfMessagesNotVisible',
      'ApproximateNumberOfMessagesVisible',
      'NumberOfMessagesDeleted',
      'NumberOfMessagesSent',
    ],
  },
  'AWS/AutoScaling': {
    dimension: 'AutoScalingGroupName',
    type: 'AWS::AutoScaling::AutoScalingGroup',
    names: ['GroupDesiredCapacity', 'GroupInServiceInstances', 'GroupMaxSize'],
  },
  'AWS/RDS': {
    dimension: 'DBInstanceIdentifier',
    type: 'AWS::RDS::DBInstance',
    names: ['CPUUtilization', 'DatabaseConnections', 'FreeStorageSpace'],
  },
};

export interface UsedMetric {
  readonly where: string;
  readonly stack: string;
  readonly namespace: string;
  readonly name: string;
  /** Values are as the template has them. */
  readonly dimensions: Readonly<Record<string, unknown>>;
}

const joinSchema = z.object({ 'Fn::Join': z.tuple([z.literal(''), z.array(z.unknown())]) });
const dimensionsSchema = z.array(z.object({ Name: z.string(), Value: z.unknown() }));
const metricSchema = z.object({ Namespace: z.string(), MetricName: z.string(), Dimensions: dimensionsSchema });
const emfSchema = z.looseObject({
  _aws: z.object({
    CloudWatchMetrics: z.array(
      z.object({
        Namespace: z.string(),
        Dimensions: z.array(z.array(z.string())),
        Metrics: z.array(z.looseObject({ Name: z.string() })),
      }),
    ),
  }),
});
const widgetSchema = z.looseObject({
  properties: z.looseObject({ metrics: z.array(z.array(z.unknown())).optional() }),
});

/** The lines of real telemetry, of everything that it can count, as the metrics that CloudWatch makes of them. */
export function writtenBy(workers: readonly string[], stage: string): ReadonlySet<string> {
  const lines: string[] = [];
  for (const worker of workers) {
    const telemetry = new Telemetry(
      worker,
      (line) => lines.push(line),
      () => 0,
      stage,
    );
    telemetry.count('received');
    for (const name of [
      'dwellSeconds',
      'handlingSeconds',
      'leaseMarginSeconds',
      'batchMessages',
      'drainSeconds',
    ] as const)
      telemetry.observe(name, 1);
    telemetry.request('receive')();
    telemetry.flush(0);
  }
  return new Set(
    lines.flatMap((line) => {
      const { _aws: aws, ...values } = emfSchema.parse(JSON.parse(line));
      return aws.CloudWatchMetrics.flatMap((directive) => {
        return directive.Dimensions.flatMap((names) => {
          const dimensions = Object.fromEntries(names.map((name) => [name, values[name]]));
          return directive.Metrics.map(({ Name: name }) => keyOf(directive.Namespace, name, dimensions));
        });
      });
    }),
  );
}

export function keyOf(namespace: string, name: string, dimensions: Readonly<Record<string, unknown>>): string {
  return JSON.stringify([namespace, name, Object.entries(dimensions).sort()]);
}

export function metricsOfAlarm({ id, stack, properties }: Resource): UsedMetric[] {
  return [...valuesIn(properties)].flatMap(({ value }) => {
    const { data: metric } = metricSchema.safeParse(value);
    if (metric === undefined) return [];
    const dimensions = Object.fromEntries(metric.Dimensions.map(({ Name: name, Value: one }) => [name, one]));
    return [{ where: id, stack, namespace: metric.Namespace, name: metric.MetricName, dimensions }];
  });
}

/** References become their JSON, so that the body is text again. */
export function bodyOf({ properties }: Resource): string {
  const { data: join } = joinSchema.safeParse(properties.DashboardBody);
  const parts = join?.['Fn::Join'][1] ?? [properties.DashboardBody];
  return parts
    .map((part) => (typeof part === 'string' ? part : JSON.stringify(JSON.stringify(part)).slice(1, -1)))
    .join('');
}

/** In a dashboard a metric is [namespace, name, dimension, value, …, options], or expressions alone. */
export function metricsOfDashboard(dashboard: Resource): UsedMetric[] {
  const { widgets } = z.object({ widgets: z.array(widgetSchema) }).parse(JSON.parse(bodyOf(dashboard)));
  return widgets.flatMap(({ properties }) =>
    (properties.metrics ?? []).flatMap((metric) => {
      const [namespace, name, ...rest] = metric.filter((part) => typeof part === 'string');
      if (namespace === undefined || name === undefined) return [];
      const dimensions: Record<string, unknown> = {};
      for (let index = 0; index < rest.length; index += 2) dimensions[rest[index]!] = unquoted(rest[index + 1]!);
      return [{ where: dashboard.id, stack: dashboard.stack, namespace, name, dimensions }];
    }),
  );
}

function unquoted(text: string): unknown {
  return text.startsWith('{') ? JSON.parse(text) : text;
}
