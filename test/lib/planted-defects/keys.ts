/** What can be wrong with keys in a template, one at a time. */
import { DATA, WORKER } from './places.ts';
import { added, addedStatement, attribute, property, statement, type TemplateDefect, text } from './planting.ts';

export const keys: readonly TemplateDefect[] = [
  { what: 'a key without rotation', plant: property('messaging/QueueKey', ['EnableKeyRotation'], false) },
  { what: 'a key of logs without rotation', plant: property('compute/LogKey', ['EnableKeyRotation'], undefined) },
  {
    what: 'a key that everybody may use',
    plant: addedStatement('messaging/QueueKey', ['KeyPolicy', 'Statement'], {
      Effect: 'Allow',
      Action: 'kms:Decrypt',
      Principal: { AWS: '*' },
      Resource: '*',
    }),
  },
  {
    what: 'a key that CloudWatch Logs may use for any group',
    plant: statement('compute/LogKey', 'log-group:/sluice/prod/orders', (found) =>
      Reflect.deleteProperty(found, 'Condition'),
    ),
  },
  {
    what: 'a key that refers to the queue that it encrypts',
    plant: addedStatement('messaging/QueueKey', ['KeyPolicy', 'Statement'], {
      Effect: 'Allow',
      Action: 'kms:Decrypt',
      Principal: { Service: 'sns.amazonaws.com' },
      Resource: '*',
      Condition: { ArnEquals: { 'aws:SourceArn': { 'Fn::GetAtt': ['OrdersQueueC538DD4C', 'Arn'] } } },
    }),
  },
  {
    what: 'a key that encrypts nothing',
    plant: added('data', 'Spare', {
      Type: 'AWS::KMS::Key',
      Properties: { EnableKeyRotation: true, KeyPolicy: { Statement: [] } },
    }),
  },
  {
    what: 'a key of messages that goes with its stack',
    plant: attribute('messaging/QueueKey', ['DeletionPolicy'], 'Delete'),
  },
  {
    what: 'a key of the database that stays when its stack could not be made',
    plant: attribute('data/StoreKey', ['DeletionPolicy'], 'Retain'),
  },
  { what: 'a log group without a key', plant: property('compute/OrdersFleetLogGroup', ['KmsKeyId'], undefined) },
  {
    what: 'lines that are kept for ever',
    plant: property('compute/OrdersFleetLogGroup', ['RetentionInDays'], undefined),
  },
  { what: 'lines that are kept for a day', plant: property('compute/LedgerFleetLogGroup', ['RetentionInDays'], 1) },
  {
    what: 'a volume that is not encrypted',
    plant: property(WORKER, [...DATA, 'BlockDeviceMappings', 0, 'Ebs', 'Encrypted'], false),
  },
  {
    what: 'a volume that stays when its instance goes',
    plant: property(WORKER, [...DATA, 'BlockDeviceMappings', 0, 'Ebs', 'DeleteOnTermination'], false),
  },
  {
    what: 'a bucket that is neither encrypted nor private',
    plant: added('messaging', 'Files', { Type: 'AWS::S3::Bucket', Properties: {} }),
  },
  {
    what: 'an encrypted volume that the instance does not boot from',
    plant: property(WORKER, [...DATA, 'BlockDeviceMappings', 0, 'DeviceName'], '/dev/sdb'),
  },
  {
    what: 'a key that CloudWatch Logs may only read with',
    plant: statement('compute/LogKey', 'log-group:/sluice/prod/orders', (found) =>
      Object.assign(found, { Action: ['kms:Decrypt', 'kms:DescribeKey'] }),
    ),
  },
  {
    what: 'a key for the lines of a group that is called otherwise',
    plant: text('compute/LogKey', 'log-group:/sluice/prod/ledger', 'log-group:/sluice/prod/ledgers'),
  },
  { what: 'a flow log that is kept for ten years', plant: property('network/FlowLogGroup', ['RetentionInDays'], 3653) },
  {
    what: 'a key of lines for CloudWatch Logs of another region',
    plant: text('network/FlowLogKey', '["logs.",{"Ref":"AWS::Region"},', '["logs.","",'),
  },
];
