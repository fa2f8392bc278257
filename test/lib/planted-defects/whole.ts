/** What can be wrong with a whole stage in a template, one at a time. */
import { attribute, property, type TemplateDefect, text } from './planting.ts';

export const whole: readonly TemplateDefect[] = [
  {
    what: 'a reference to what is not there',
    plant: property('compute/OrdersFleetScaleOut', ['AutoScalingGroupName'], { Ref: 'NoSuchGroup' }),
  },
  {
    what: 'an import of what nobody exports',
    plant: text('data/StoreSecurityGroup', /sluice-prod-network:\w+/, 'sluice-prod-network:Gone'),
  },
  {
    what: 'two resources that wait for each other',
    plant: attribute('messaging/QueueKey', ['DependsOn'], ['OrdersQueueC538DD4C']),
  },
  {
    what: 'the number of an account',
    plant: property('compute/OrdersFleetRole', ['Description'], 'Worker in 111122223333'),
  },
  { what: 'a region', plant: text('network/VpcS3', '{"Ref":"AWS::Region"}', '"eu-central-1"') },
  {
    what: 'a stage without one of its stacks',
    plant: (templates) => void Reflect.deleteProperty(templates, 'sluice-prod-monitoring'),
  },
];
