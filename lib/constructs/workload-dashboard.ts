/** One page for a workload: what waits and for how long, who works on it and how fast, and what does not succeed. */
import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import { IN_FLIGHT_MAX_MESSAGES } from './workload-alarms.ts';
import type { WorkloadMetrics } from './workload-metrics.ts';

const PERIOD = Duration.minutes(1);
const { MAXIMUM, SUM } = cloudwatch.Stats;
/** The width of a dashboard is 24. */
const HALF = 12;
const WHOLE = 24;

export interface WorkloadDashboardProps {
  /** Name of the dashboard. */
  readonly dashboardName: string;

  /** What is shown. */
  readonly workload: WorkloadMetrics;

  /** Drawn as a line across the age. */
  readonly ageObjective: Duration;

  /** Alarms whose state is shown on top. */
  readonly alarms: readonly cloudwatch.IAlarm[];
}

export class WorkloadDashboard extends Construct {
  readonly dashboard: cloudwatch.Dashboard;

  constructor(scope: Construct, id: string, props: WorkloadDashboardProps) {
    super(scope, id);
    this.dashboard = new cloudwatch.Dashboard(this, 'Dashboard', {
      dashboardName: props.dashboardName,
      defaultInterval: Duration.hours(3),
      widgets: [
        [new cloudwatch.AlarmStatusWidget({ title: 'Alarms', width: WHOLE, height: 3, alarms: [...props.alarms] })],
        [backlog(props), age(props)],
        [inFlight(props), timeToDrain(props)],
        [fleetSize(props), rate(props)],
        [rejected(props), database(props)],
      ],
    });
  }
}

function backlog({ workload: { queue } }: WorkloadDashboardProps): cloudwatch.IWidget {
  const options = { period: PERIOD, statistic: MAXIMUM };
  return graph('Backlog', 'messages', [
    queue.metricApproximateNumberOfMessagesVisible({ ...options, label: 'visible' }),
    queue.metricApproximateNumberOfMessagesDelayed({ ...options, label: 'delayed' }),
  ]);
}

function age({ workload: { queue, worker }, ageObjective }: WorkloadDashboardProps): cloudwatch.IWidget {
  return graph(
    'Age',
    'seconds',
    [
      queue.metricApproximateAgeOfOldestMessage({ period: PERIOD, statistic: MAXIMUM, label: 'oldest message' }),
      worker.distribution('dwellSeconds', { period: PERIOD, statistic: 'p99', label: 'sent to stored, p99' }),
    ],
    [{ value: ageObjective.toSeconds(), label: 'objective' }],
  );
}

function inFlight({ workload: { queue, worker } }: WorkloadDashboardProps): cloudwatch.IWidget {
  return graph(
    'In flight',
    'messages',
    [
      queue.metricApproximateNumberOfMessagesNotVisible({ period: PERIOD, statistic: MAXIMUM, label: 'in flight' }),
      worker.gauge('messagesInProcess', { period: PERIOD, label: 'in hand, of the worker with the most' }),
    ],
    [{ value: IN_FLIGHT_MAX_MESSAGES, label: "SQS's limit" }],
  );
}

/** If nothing more came: how long the visible messages last at the rate of the moment. */
function timeToDrain({ workload: { queue } }: WorkloadDashboardProps): cloudwatch.IWidget {
  return graph('Time to drain, if nothing more came', 'seconds', [
    new cloudwatch.MathExpression({
      expression: 'IF(deleted > 0, visible * PERIOD(deleted) / deleted)',
      label: 'time to drain',
      period: PERIOD,
      usingMetrics: {
        visible: queue.metricApproximateNumberOfMessagesVisible({ statistic: MAXIMUM }),
        deleted: queue.metricNumberOfMessagesDeleted({ statistic: SUM }),
      },
    }),
  ]);
}

function fleetSize({ workload }: WorkloadDashboardProps): cloudwatch.IWidget {
  const options = { period: PERIOD, statistic: MAXIMUM };
  return graph('Fleet', 'instances', [
    workload.group('GroupInServiceInstances', { ...options, label: 'in service' }),
    workload.group('GroupDesiredCapacity', { ...options, label: 'wanted' }),
    workload.group('GroupMaxSize', { ...options, label: 'at most' }),
    workload.worker.lines({ period: PERIOD, label: 'workers that tell' }),
  ]);
}

function rate({ workload: { queue, worker } }: WorkloadDashboardProps): cloudwatch.IWidget {
  const options = { period: PERIOD, statistic: SUM };
  return graph('Rate', 'messages a minute', [
    queue.metricNumberOfMessagesSent({ ...options, label: 'sent' }),
    queue.metricNumberOfMessagesDeleted({ ...options, label: 'deleted' }),
    worker.count('stored', { period: PERIOD, label: 'stored' }),
    worker.count('suppressed', { period: PERIOD, label: 'suppressed' }),
  ]);
}

function rejected({ workload: { deadLetterQueue, worker } }: WorkloadDashboardProps): cloudwatch.IWidget {
  return graph('Rejected', 'messages', [
    worker.count('rejected', { period: PERIOD, label: 'rejected a minute' }),
    worker.count('retried', { period: PERIOD, label: 'given back a minute' }),
    deadLetterQueue.metricApproximateNumberOfMessagesVisible({
      period: PERIOD,
      statistic: MAXIMUM,
      label: 'in the dead-letter queue',
    }),
  ]);
}

function database({ workload: { worker } }: WorkloadDashboardProps): cloudwatch.IWidget {
  return graph('Database, as the workers see it', 'seconds a batch, and 1 while it is away', [
    worker.distribution('handlingSeconds', { period: PERIOD, statistic: 'p99', label: 'a batch, p99' }),
    worker.gauge('breakerOpen', { period: PERIOD, label: 'away' }),
  ]);
}

function graph(
  title: string,
  unit: string,
  left: cloudwatch.IMetric[],
  leftAnnotations: cloudwatch.HorizontalAnnotation[] = [],
): cloudwatch.IWidget {
  return new cloudwatch.GraphWidget({
    title,
    left,
    leftAnnotations,
    leftYAxis: { label: unit, min: 0, showUnits: false },
    width: HALF,
    height: 6,
  });
}
