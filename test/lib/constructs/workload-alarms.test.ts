import { describe, test } from '@jest/globals';
import { Duration, Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { AlarmRegistry } from '../../../lib/constructs/alarm-registry.ts';
import { AlarmTopic } from '../../../lib/constructs/alarm-topic.ts';
import { WorkloadAlarms } from '../../../lib/constructs/workload-alarms.ts';
import { WorkloadMetrics } from '../../../lib/constructs/workload-metrics.ts';
import { synthesized } from '../synthesized.ts';

const { templates } = synthesized((app) => {
  const stack = new Stack(app, 'stack');
  const { topic } = new AlarmTopic(stack, 'Topic', { displayName: 'shop' });
  const registry = new AlarmRegistry({ namePrefix: 'shop', topic, runbook: 'https://wiki.example/runbook' });
  const workload = new WorkloadMetrics({
    stage: 'test',
    name: 'returns',
    queue: new sqs.Queue(stack, 'Queue'),
    deadLetterQueue: new sqs.Queue(stack, 'DeadLetterQueue'),
    autoScalingGroupName: 'group',
  });
  new WorkloadAlarms(stack, 'Alarms', { registry, workload, ageObjective: Duration.minutes(7) });
});
const template = Template.fromJSON(templates.stack!);
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
