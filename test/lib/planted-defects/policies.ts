/** What can be wrong with policies: who may do what in a template, one at a time. */
import { BUNDLE_RIGHT, exported, queueArn, RIGHTS } from './places.ts';
import { added, addedStatement, property, statement, type TemplateDefect, text } from './planting.ts';

export const policies: readonly TemplateDefect[] = [
  {
    what: 'a topic that may send to a queue on behalf of anybody',
    plant: addedStatement('messaging/OrdersQueuePolicy', ['PolicyDocument', 'Statement'], {
      Effect: 'Allow',
      Action: 'sqs:SendMessage',
      Principal: { Service: 'sns.amazonaws.com' },
      Resource: '*',
    }),
  },
  {
    what: 'a queue that everybody may send to',
    plant: (templates) => {
      const own = {
        'Fn::GetAtt': [
          Object.keys(templates['sluice-prod-messaging']!.Resources).find((id) => /^OrdersQueue[0-9A-F]{8}$/.test(id)),
          'Arn',
        ],
      };
      addedStatement('messaging/OrdersQueuePolicy', ['PolicyDocument', 'Statement'], {
        Effect: 'Allow',
        Action: 'sqs:SendMessage',
        Principal: '*',
        Resource: own,
      })(templates);
    },
  },
  {
    what: 'CloudWatch of every account at the topic of alarms',
    plant: statement('monitoring/AlarmsTopicPolicy', 'AlarmsOfThisAccount', (found) =>
      Reflect.deleteProperty(found, 'Condition'),
    ),
  },
  {
    what: 'a source condition that any account meets',
    plant: statement('monitoring/AlarmsKey', 'AlarmsOfThisAccount', (found) =>
      Object.assign(found, { Condition: { StringLike: { 'aws:SourceAccount': '*' } } }),
    ),
  },
  {
    what: 'a source condition that holds without a source',
    plant: statement('monitoring/AlarmsTopicPolicy', 'AlarmsOfThisAccount', (found) =>
      Object.assign(found, { Condition: { StringEqualsIfExists: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } } }),
    ),
  },
  {
    what: 'a topic that everybody may publish to',
    plant: statement('monitoring/AlarmsTopicPolicy', 'AlarmsOfThisAccount', (found) =>
      Object.assign(found, { Principal: '*', Condition: {} }),
    ),
  },
  {
    what: 'a worker that may do everything with its queue',
    plant: statement(RIGHTS, 'sqs:ReceiveMessage', (found) => Object.assign(found, { Action: 'sqs:*' })),
  },
  {
    what: 'a worker that may log in to every database',
    plant: statement(RIGHTS, 'rds-db:connect', (found) => Object.assign(found, { Resource: '*' })),
  },
  { what: 'a worker that may log in as the owner', plant: text(RIGHTS, '/sluice_worker', '/sluice') },
  {
    what: 'a worker that may do whatever begins with Put with its lines',
    plant: statement(RIGHTS, 'logs:PutLogEvents', (found) => Object.assign(found, { Action: 'logs:Put*' })),
  },
  {
    what: 'a migration step whose code may make network interfaces',
    plant: statement('schema/MigrationRoleDefaultPolicy', '"Deny"', (found) =>
      Object.assign(found, { Action: 'ec2:DescribeSubnets' }),
    ),
  },
  {
    what: 'a worker that may do all but one thing',
    plant: statement(BUNDLE_RIGHT, 's3:GetObject', (found) => {
      Reflect.deleteProperty(found, 'Action');
      Object.assign(found, { NotAction: 's3:DeleteObject' });
    }),
  },
  {
    what: 'a worker that may read every object of the bucket of bundles',
    plant: text(BUNDLE_RIGHT, /\/[0-9a-f]{64}\.zip/, '/*'),
  },
  {
    what: 'a worker that may use the queue of another',
    plant: text(RIGHTS, queueArn('Orders'), exported(queueArn('Ledger'))),
  },
  { what: 'a worker that may not delete what it has stored', plant: text(RIGHTS, '"sqs:DeleteMessage",', '') },
  { what: 'a worker that may not use the key of its queue', plant: text(RIGHTS, '"kms:Decrypt",', '') },
  {
    what: 'a worker that may use the key by itself',
    plant: statement(RIGHTS, 'kms:ViaService', (found) => Reflect.deleteProperty(found, 'Condition')),
  },
  {
    what: 'a worker that may pass roles on',
    plant: addedStatement(RIGHTS, ['PolicyDocument', 'Statement'], {
      Effect: 'Allow',
      Action: 'iam:PassRole',
      Resource: { 'Fn::GetAtt': ['LogKeyE83D0C1B', 'Arn'] },
    }),
  },
  {
    what: 'a worker with AdministratorAccess',
    plant: property('compute/OrdersFleetRole', ['ManagedPolicyArns'], ['arn:aws:iam::aws:policy/AdministratorAccess']),
  },
  {
    what: 'a worker with a policy inside of its role',
    plant: property(
      'compute/OrdersFleetRole',
      ['Policies'],
      [
        {
          PolicyName: 'More',
          PolicyDocument: { Statement: [{ Effect: 'Allow', Action: 's3:ListBucket', Resource: 'arn:aws:s3:::*' }] },
        },
      ],
    ),
  },
  {
    what: 'a role that everybody may take',
    plant: statement('compute/OrdersFleetRole', 'sts:AssumeRole', (found) =>
      Object.assign(found, { Principal: { AWS: '*' } }),
    ),
  },
  {
    what: 'a role that another service may take',
    plant: statement('compute/OrdersFleetRole', 'sts:AssumeRole', (found) =>
      Object.assign(found, { Principal: { Service: ['ec2.amazonaws.com', 'lambda.amazonaws.com'] } }),
    ),
  },
  {
    what: 'a user with an access key',
    plant: added('compute', 'Deployer', { Type: 'AWS::IAM::User', Properties: {} }),
  },
  {
    what: 'a function that S3 may call on behalf of any bucket',
    plant: added('messaging', 'Permission', {
      Type: 'AWS::Lambda::Permission',
      Properties: { Action: 'lambda:InvokeFunction', FunctionName: 'tell', Principal: 's3.amazonaws.com' },
    }),
  },
  {
    what: 'an endpoint that lets anything through to anywhere',
    plant: property('network/VpcS3', ['PolicyDocument'], {
      Statement: [{ Effect: 'Allow', Principal: '*', Action: '*', Resource: '*' }],
    }),
  },
  {
    what: 'a worker that may use the key of its queue through another service',
    plant: text(RIGHTS, '["sqs.",', '["ssm.",'),
  },
  {
    what: 'a worker that may use the key of its queue in another region',
    plant: text(RIGHTS, '["sqs.",{"Ref":"AWS::Region"},".amazonaws.com"]', '["sqs.*.amazonaws.com"]'),
  },
];
