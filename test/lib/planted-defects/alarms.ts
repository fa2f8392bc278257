/** What can be wrong with alarms in a template, one at a time. */
import { exported, queueName } from './places.ts';
import { property, removed, statement, type TemplateDefect, text } from './planting.ts';

export const alarms: readonly TemplateDefect[] = [
  {
    what: 'an alarm with a wrong dimension',
    plant: text('monitoring/OrdersAlarmsMessagesWaitTooLong', '"Name":"QueueName"', '"Name":"QueueUrl"'),
  },
  {
    what: 'an alarm on a metric that nobody reports',
    plant: text('monitoring/OrdersAlarmsMessagesWaitTooLong', 'ApproximateAgeOfOldestMessage', 'AgeOfOldestMessage'),
  },
  {
    what: 'an alarm on a metric that no worker writes',
    plant: property('monitoring/OrdersAlarmsMessagesComeAgain', ['MetricName'], 'retries'),
  },
  {
    what: 'an alarm on the queue of another workload',
    plant: text('monitoring/OrdersAlarmsMessagesWaitTooLong', queueName('Orders'), exported(queueName('Ledger'))),
  },
  {
    what: 'an alarm of dead letters on the queue itself',
    plant: text(
      'monitoring/OrdersAlarmsDeadLettersWait',
      /ExportsOutputFnGetAttOrdersDeadLetterQueue[0-9A-F]{8}QueueName\w+/,
      exported(queueName('Orders')),
    ),
  },
  {
    what: 'a FIFO queue whose groups nobody looks at',
    plant: removed('monitoring/LedgerAlarmsFewGroupsAreWorkedOn'),
  },
  {
    what: 'an alarm with the metrics of another stage',
    plant: text('monitoring/OrdersAlarmsAccessIsDenied', '"Value":"prod"', '"Value":"dev"'),
  },
  {
    what: 'an alarm that tells nobody',
    plant: property('monitoring/OrdersAlarmsMessagesWaitTooLong', ['AlarmActions'], []),
  },
  {
    what: 'an alarm whose actions are switched off',
    plant: property('monitoring/OrdersAlarmsMessagesWaitTooLong', ['ActionsEnabled'], false),
  },
  {
    what: 'an alarm that does not tell that it is over',
    plant: property('monitoring/OrdersAlarmsAccessIsDenied', ['OKActions'], undefined),
  },
  {
    what: 'a threshold above the objective',
    plant: property('monitoring/OrdersAlarmsMessagesWaitTooLong', ['Threshold'], 6000),
  },
  {
    what: 'a comparison the wrong way round',
    plant: property('monitoring/DatabaseDatabaseStorageRunsOut', ['ComparisonOperator'], 'GreaterThanThreshold'),
  },
  {
    what: 'an alarm that needs an hour',
    plant: property('monitoring/OrdersAlarmsDatabaseIsAway', ['EvaluationPeriods'], 60),
  },
  {
    what: 'an alarm on what workers do not say, for which silence is well',
    plant: property('monitoring/OrdersAlarmsNoWorkerWhileMessagesWaitNoWorker', ['TreatMissingData'], 'notBreaching'),
  },
  {
    what: 'more points to alarm than are looked at',
    plant: property('monitoring/OrdersAlarmsAccessIsDenied', ['DatapointsToAlarm'], 6),
  },
  {
    what: 'a composite alarm of the conditions of another',
    plant: text(
      'monitoring/OrdersAlarmsNoWorkerWhileMessagesWait',
      /OrdersAlarmsNoWorkerWhileMessagesWaitNoWorker/,
      'LedgerAlarmsNoWorkerWhileMessagesWaitNoWorker',
    ),
  },
  { what: 'a workload without an alarm of its dead letters', plant: removed('monitoring/LedgerAlarmsDeadLettersWait') },
  {
    what: 'an alarm that points to no section of the runbook',
    plant: text('monitoring/OrdersAlarmsDatabaseIsAway', '#database-is-away', '#database-away'),
  },
  { what: 'a topic of alarms without a key', plant: property('monitoring/AlarmsTopic', ['KmsMasterKeyId'], undefined) },
  {
    what: 'a topic of alarms that CloudWatch may not tell',
    plant: statement('monitoring/AlarmsKey', 'AlarmsOfThisAccount', (found) =>
      Object.assign(found, { Effect: 'Deny' }),
    ),
  },
  { what: 'a workload without a dashboard', plant: removed('monitoring/LedgerDashboard') },
  {
    what: 'a dashboard that shows the queue of another',
    plant: text('monitoring/OrdersDashboard', queueName('Orders'), exported(queueName('Ledger'))),
  },
  {
    what: 'a key of alarms that CloudWatch may not encrypt with',
    plant: statement('monitoring/AlarmsKey', 'AlarmsOfThisAccount', (found) =>
      Object.assign(found, { Action: ['kms:Decrypt', 'kms:Encrypt'] }),
    ),
  },
  {
    what: 'a topic that CloudWatch may subscribe to, and not tell',
    plant: statement('monitoring/AlarmsTopicPolicy', 'AlarmsOfThisAccount', (found) =>
      Object.assign(found, { Action: 'sns:Subscribe' }),
    ),
  },
  {
    what: 'a right to tell another topic',
    plant: statement('monitoring/AlarmsTopicPolicy', 'AlarmsOfThisAccount', (found) =>
      Object.assign(found, { Resource: 'arn:aws:sns:::other' }),
    ),
  },
  {
    what: 'an alarm on the average of what waits',
    plant: property('monitoring/OrdersAlarmsMessagesWaitTooLong', ['Statistic'], 'Average'),
  },
  {
    what: 'an alarm on the most storage that was free',
    plant: property('monitoring/DatabaseDatabaseStorageRunsOut', ['Statistic'], 'Maximum'),
  },
  {
    what: 'a page for every minute without a worker, whether messages wait or not',
    plant: text('monitoring/OrdersAlarmsNoWorkerWhileMessagesWaitD440C946', ' AND ', ' OR '),
  },
  {
    what: 'an alarm of a backlog that drains',
    plant: text('monitoring/OrdersAlarmsBacklogDoesNotDrain', 'deleted <= sent', 'deleted >= sent'),
  },
  {
    what: 'an alarm of a fleet that was large for a moment',
    plant: text('monitoring/OrdersAlarmsBacklogDoesNotDrain', '"Stat":"Minimum"', '"Stat":"Maximum"'),
  },
  {
    what: 'an alarm that does not see a dead letter that somebody looks at',
    plant: text('monitoring/OrdersAlarmsDeadLettersWait', 'visible + notVisible', 'visible'),
  },
  {
    what: 'an alarm of the share of messages that are not rejected',
    plant: text('monitoring/OrdersAlarmsManyMessagesAreRejected', '100 * rejected', '100 - 100 * rejected'),
  },
];
