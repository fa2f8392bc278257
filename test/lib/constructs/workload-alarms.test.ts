import { describe, expect, test } from '@jest/globals';
import { Duration, Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { z } from 'zod';
import { AlarmRegistry } from '../../../lib/constructs/alarm-registry.ts';
import { AlarmTopic } from '../../../lib/constructs/alarm-topic.ts';
import { WorkloadAlarms } from '../../../lib/constructs/workload-alarms.ts';
import { WorkloadMetrics } from '../../../lib/constructs/workload-metrics.ts';
import { evaluateMetricMath } from '../scaling/metric-math.ts';
import { synthesized } from '../synthesized.ts';

const templateOf = (queueProps: sqs.QueueProps) => Template.fromJSON(templatesOf(queueProps).stack!);
const templatesOf = (queueProps: sqs.QueueProps) =>
  synthesized((app) => {
    const stack = new Stack(app, 'stack');
    const { topic } = new AlarmTopic(stack, 'Topic', { displayName: 'shop' });
    const registry = new AlarmRegistry({ namePrefix: 'shop', topic, runbook: 'https://wiki.example/runbook' });
    const workload = new WorkloadMetrics({
      stage: 'test',
      name: 'returns',
      queue: new sqs.Queue(stack, 'Queue', queueProps),
      deadLetterQueue: new sqs.Queue(stack, 'DeadLetterQueue'),
      autoScalingGroupName: 'group',
    });
    new WorkloadAlarms(stack, 'Alarms', { registry, workload, ageObjective: Duration.minutes(7) });
  }).templates;
const template = templateOf({});
const queriesSchema = z.array(
  z.object({
    Id: z.string(),
    Expression: z.string().optional(),
    MetricStat: z
      .object({ Metric: z.object({ MetricName: z.string() }), Stat: z.string(), Period: z.number() })
      .optional(),
  }),
);

/** What an alarm computes, and of which metrics: name, statistic and seconds. */
function queriesOf(metrics: unknown) {
  const queries = queriesSchema.parse(metrics);
  const points = queries.flatMap(({ Id, MetricStat: stat }) =>
    stat === undefined ? [] : [[Id, [stat.Metric.MetricName, stat.Stat, stat.Period]] as const],
  );
  return { expression: queries.find(({ Expression }) => Expression)!.Expression!, points: Object.fromEntries(points) };
}

const ofWorker = [
  { Name: 'stage', Value: 'test' },
  { Name: 'worker', Value: 'returns' },
];

describe('the alarms of a workload', () => {
  test('name it, their kind and the runbook that they were given', () => {
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      AlarmName: 'shop-returns-in-flight-near-limit',
      AlarmDescription: Match.stringLikeRegexp('^page, returns: .* https://wiki.example/runbook#in-flight-near-limit$'),
      Threshold: 96_000,
    });
  });

  test.each([
    ['messages-wait-too-long', { MetricName: 'ApproximateAgeOfOldestMessage', Statistic: 'Maximum', Period: 60 }],
    // What was received three times or more, the age passes over.
    ['messages-are-stored-late', { MetricName: 'dwellSeconds', Statistic: 'Maximum', Dimensions: ofWorker }],
  ])('tell of %s when it is later than the objective', (kind, metric) => {
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      AlarmName: `shop-returns-${kind}`,
      ComparisonOperator: 'GreaterThanThreshold',
      Threshold: 420,
      TreatMissingData: 'notBreaching',
      ...metric,
    });
  });

  test('tell of a message that fails again and again by what the workers give back', () => {
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      AlarmName: 'shop-returns-messages-come-again',
      MetricName: 'retried',
      Statistic: 'Sum',
      Dimensions: ofWorker,
      Threshold: 0,
    });
  });

  test('tell of a FIFO queue whose large backlog is one of few groups, and of no other', () => {
    const [alarm, ...others] = Object.values(templateOf({ fifo: true }).findResources('AWS::CloudWatch::Alarm')).filter(
      ({ Properties }) => Properties.AlarmName === 'shop-returns-few-groups-are-worked-on',
    );
    expect(others).toEqual([]);
    const { expression, points } = queriesOf(alarm!.Properties.Metrics);
    expect(points).toEqual({
      visible: ['ApproximateNumberOfMessagesVisible', 'Minimum', 300],
      groups: ['ApproximateNumberOfGroupsWithInflightMessages', 'Maximum', 300],
    });
    const tells = (visible: number, groups: number) =>
      evaluateMetricMath(expression, (id) => (id === 'visible' ? visible : groups));
    expect([tells(12_000, 1), tells(120_000, 9)]).toEqual([1, 1]);
    // A small backlog, one of many groups, and one that nobody works on.
    expect([tells(11_999, 1), tells(12_000, 10), tells(12_000, 0)]).toEqual([0, 0, 0]);
    expect(JSON.stringify(template.toJSON())).not.toContain('few-groups-are-worked-on');
  });

  test('tell that no worker is there when none writes a line and messages wait, not of an empty queue', () => {
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      AlarmName: 'shop-returns-no-worker-while-messages-wait-no-worker',
      MetricName: 'requests',
      Statistic: 'SampleCount',
      ComparisonOperator: 'LessThanThreshold',
      Threshold: 1,
      TreatMissingData: 'breaching',
      AlarmActions: Match.absent(),
    });
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      AlarmName: 'shop-returns-no-worker-while-messages-wait-messages-wait',
      MetricName: 'ApproximateNumberOfMessagesVisible',
      Statistic: 'Minimum',
      TreatMissingData: 'notBreaching',
      AlarmActions: Match.absent(),
    });
    template.hasResourceProperties('AWS::CloudWatch::CompositeAlarm', {
      AlarmRule: { 'Fn::Join': ['', ['(ALARM("', Match.anyValue(), '") AND ALARM("', Match.anyValue(), '"))']] },
    });
  });
});
