/** What can be wrong with scaling in a template, one at a time. */
import { exported, queueName } from './places.ts';
import { property, removed, type TemplateDefect, text } from './planting.ts';

export const scaling: readonly TemplateDefect[] = [
  {
    what: 'a gap between two steps',
    plant: text('compute/OrdersFleetScaleOut', /"MetricIntervalUpperBound":\d+/, '"MetricIntervalUpperBound":1000'),
  },
  {
    what: 'two steps that overlap',
    plant: text(
      'compute/OrdersFleetScaleOut',
      /("MetricIntervalLowerBound":0,"MetricIntervalUpperBound":)\d+/,
      '"MetricIntervalLowerBound":0,"MetricIntervalUpperBound":900000',
    ),
  },
  {
    what: 'steps that end',
    plant: property('compute/OrdersFleetScaleOut', ['StepAdjustments', 2, 'MetricIntervalUpperBound'], 9_000_000),
  },
  {
    what: 'a step that shrinks a growing fleet',
    plant: property('compute/OrdersFleetScaleOut', ['StepAdjustments', 1, 'ScalingAdjustment'], -2),
  },
  {
    what: 'a step that takes all instances away',
    plant: property('compute/OrdersFleetScaleIn', ['StepAdjustments', 0, 'ScalingAdjustment'], -10),
  },
  {
    what: 'tracking that shrinks while work is in flight',
    plant: property('compute/OrdersFleetTrackBacklog', ['TargetTrackingConfiguration', 'DisableScaleIn'], false),
  },
  {
    what: 'a target ten times too high',
    plant: text('compute/LedgerFleetTrackBacklog', /"TargetValue":(\d+)/, '"TargetValue":1609800'),
  },
  {
    what: 'an alarm of growth that sets nothing going',
    plant: property('compute/OrdersFleetBacklogGrows', ['AlarmActions'], []),
  },
  {
    what: 'an alarm of growth with a wrong dimension',
    plant: text('compute/OrdersFleetBacklogGrows', '"Name":"QueueName"', '"Name":"Queue"'),
  },
  {
    what: 'an alarm of growth on the queue of another fleet',
    plant: text('compute/OrdersFleetBacklogGrows', queueName('Orders'), exported(queueName('Ledger'))),
  },
  {
    what: 'growth that is looked for every five minutes',
    plant: text('compute/OrdersFleetBacklogGrows', '"Period":60', '"Period":300'),
  },
  {
    what: 'missing data that shrinks a fleet',
    plant: property('compute/OrdersFleetFleetIdles', ['TreatMissingData'], 'breaching'),
  },
  {
    what: 'a fleet that shrinks after one quiet minute',
    plant: property('compute/OrdersFleetFleetIdles', ['EvaluationPeriods'], 1),
  },
  {
    what: 'a division by no instances',
    plant: text('compute/OrdersFleetBacklogGrows', 'IF(instances > 0, instances, 1)', 'instances'),
  },
  { what: 'a fleet that does not shrink', plant: removed('compute/OrdersFleetScaleIn') },
  {
    what: 'a policy that scales another group',
    plant: text('compute/OrdersFleetScaleOut', /OrdersFleetGroupASG\w+/, exported(/LedgerFleetGroupASG[0-9A-F]{8}/)),
  },
  {
    what: 'growth by the fewest messages that waited',
    plant: text('compute/OrdersFleetBacklogGrows', '"Stat":"Maximum"', '"Stat":"Minimum"'),
  },
];
