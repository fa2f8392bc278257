/** What can be wrong with a template, one at a time. */
import {
  added,
  addedStatement,
  attribute,
  located,
  property,
  removed,
  statement,
  type TemplateDefect,
  text,
} from './planting.ts';

const WORKER = 'compute/OrdersFleetLaunchTemplate';
const GROUP = 'compute/OrdersFleetGroupASG';
const RIGHTS = 'compute/OrdersFleetRoleDefaultPolicy';
const DATABASE = 'data/StoreInstance';
const DATA = ['LaunchTemplateData'] as const;

/** Of an export of the messaging stack, as it stands in the templates. */
const exported = (name: RegExp) => (templates: string) => name.exec(templates)![0];
const queueName = (queue: string) => new RegExp(`ExportsOutputFnGetAtt${queue}Queue[0-9A-F]{8}QueueName\\w+`);
const queueUrl = (queue: string) => new RegExp(`ExportsOutputRef${queue}Queue[0-9A-F]{16}`);
const queueArn = (queue: string) => new RegExp(`ExportsOutputFnGetAtt${queue}Queue[0-9A-F]{8}Arn\\w+`);

const queues: readonly TemplateDefect[] = [
  { what: 'maxReceiveCount 0', plant: property('messaging/OrdersQueue', ['RedrivePolicy', 'maxReceiveCount'], 0) },
  {
    what: 'maxReceiveCount 1, which lets no message come twice',
    plant: property('messaging/LedgerQueue', ['RedrivePolicy', 'maxReceiveCount'], 1),
  },
  {
    what: 'a queue without a dead-letter queue',
    plant: property('messaging/OrdersQueue', ['RedrivePolicy'], undefined),
  },
  {
    what: 'a dead-letter queue that takes from every queue',
    plant: property('messaging/OrdersDeadLetterQueue', ['RedriveAllowPolicy'], { redrivePermission: 'allowAll' }),
  },
  {
    what: 'a standard dead-letter queue of a FIFO queue',
    plant: text('messaging/LedgerDeadLetterQueue', '"FifoQueue":true,', ''),
  },
  {
    what: 'dead letters that are kept for four days',
    plant: property('messaging/OrdersDeadLetterQueue', ['MessageRetentionPeriod'], 345_600),
  },
  { what: 'a queue without a key', plant: property('messaging/OrdersQueue', ['KmsMasterKeyId'], undefined) },
  {
    what: 'a dead-letter queue with the key that AWS manages',
    plant: property('messaging/OrdersDeadLetterQueue', ['KmsMasterKeyId'], 'alias/aws/sqs'),
  },
  {
    what: 'a dead-letter queue that takes requests without TLS',
    plant: removed('messaging/OrdersDeadLetterQueuePolicy'),
  },
  {
    what: 'a denial of requests with TLS in place of those without',
    plant: text('messaging/LedgerQueuePolicy', '"aws:SecureTransport":"false"', '"aws:SecureTransport":"true"'),
  },
  {
    what: 'one of the two settings of high throughput',
    plant: property('messaging/LedgerQueue', ['FifoThroughputLimit'], undefined),
  },
  { what: 'a lease of 30 s', plant: property('messaging/OrdersQueue', ['VisibilityTimeout'], 30) },
  { what: 'short polls', plant: property('messaging/OrdersQueue', ['ReceiveMessageWaitTimeSeconds'], 0) },
  {
    what: 'messages of 256 KiB at most, where the configuration says 1 MiB',
    plant: property('messaging/OrdersQueue', ['MaximumMessageSize'], 262_144),
  },
  {
    what: 'a queue with the name of another stage',
    plant: property('messaging/OrdersQueue', ['QueueName'], 'sluice-dev-orders'),
  },
  {
    what: 'a queue of prod that goes with its stack',
    plant: attribute('messaging/OrdersQueue', ['DeletionPolicy'], 'Delete'),
  },
];

const policies: readonly TemplateDefect[] = [
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
    plant: statement(RIGHTS, 's3:GetObject', (found) => {
      Reflect.deleteProperty(found, 'Action');
      Object.assign(found, { NotAction: 's3:DeleteObject' });
    }),
  },
  {
    what: 'a worker that may read every object of the bucket of bundles',
    plant: text(RIGHTS, /\/[0-9a-f]{64}\.zip/, '/*'),
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
];

const keys: readonly TemplateDefect[] = [
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
];

const network: readonly TemplateDefect[] = [
  {
    what: 'a security group that is open to the world',
    plant: property(
      'data/StoreSecurityGroup',
      ['SecurityGroupIngress'],
      [{ CidrIp: '0.0.0.0/0', IpProtocol: 'tcp', FromPort: 5432, ToPort: 5432, Description: 'All' }],
    ),
  },
  {
    what: 'SSH from anywhere',
    plant: property(
      'compute/OrdersFleetSecurityGroup',
      ['SecurityGroupIngress'],
      [{ CidrIpv6: '::/0', IpProtocol: 'tcp', FromPort: 22, ToPort: 22, Description: 'SSH' }],
    ),
  },
  {
    what: 'every port of the database for the workers',
    plant: text(
      'compute/OrdersFleetSecurityGroupsluiceproddataStoreSecurityGroup606B034B5432to',
      '"FromPort":5432',
      '"FromPort":0',
    ),
  },
  {
    what: 'instances that may send anything anywhere',
    plant: property(
      'compute/OrdersFleetSecurityGroup',
      ['SecurityGroupEgress'],
      [{ CidrIp: '0.0.0.0/0', IpProtocol: '-1', Description: 'All' }],
    ),
  },
  {
    what: 'a database that may send anything anywhere',
    plant: property('data/StoreSecurityGroup', ['SecurityGroupEgress'], undefined),
  },
  {
    what: 'a rule that does not say what it is for',
    plant: property('compute/OrdersFleetSecurityGroup', ['SecurityGroupEgress', 0, 'Description'], undefined),
  },
  {
    what: 'something in the default security group',
    plant: property(DATABASE, ['VPCSecurityGroups'], [{ 'Fn::GetAtt': ['Vpc8378EB38', 'DefaultSecurityGroup'] }]),
  },
  { what: 'a group without subnets', plant: property(GROUP, ['VPCZoneIdentifier'], []) },
  {
    what: 'a group in one zone',
    plant: (templates) => {
      const group = Object.entries(templates['sluice-prod-compute']!.Resources).find(([id]) =>
        id.startsWith('OrdersFleetGroupASG'),
      )![1];
      Object.assign(group.Properties, { VPCZoneIdentifier: [Object(group.Properties.VPCZoneIdentifier)[0]] });
    },
  },
  {
    what: 'workers in subnets that the internet reaches',
    plant: (templates) => {
      const table = located(templates, 'network/VpcWorkersSubnet1RouteTable').id;
      added('network', 'Gateway', { Type: 'AWS::EC2::InternetGateway', Properties: {} })(templates);
      const route = { RouteTableId: { Ref: table }, DestinationCidrBlock: '0.0.0.0/0', GatewayId: { Ref: 'Gateway' } };
      added('network', 'Outwards', { Type: 'AWS::EC2::Route', Properties: route })(templates);
    },
  },
  {
    what: 'a database with a way out',
    plant: (templates) => {
      const table = located(templates, 'network/VpcDatabaseSubnet1RouteTable').id;
      added('network', 'Nat', { Type: 'AWS::EC2::NatGateway', Properties: {} })(templates);
      const route = { RouteTableId: { Ref: table }, DestinationCidrBlock: '0.0.0.0/0', NatGatewayId: { Ref: 'Nat' } };
      added('network', 'Outwards', { Type: 'AWS::EC2::Route', Properties: route })(templates);
    },
  },
  { what: 'a service that is called and has no endpoint', plant: removed('network/EndpointsSqs') },
  {
    what: 'workers without a way to AWS',
    plant: (templates) => {
      for (const service of ['Sqs', 'SecretsManager', 'Logs']) removed(`network/Endpoints${service}`)(templates);
    },
  },
  { what: 'an endpoint without a policy', plant: property('network/EndpointsSqs', ['PolicyDocument'], undefined) },
  {
    what: 'an endpoint for principals of every account',
    plant: statement('network/EndpointsSqs', 'aws:PrincipalAccount', (found) =>
      Reflect.deleteProperty(found, 'Condition'),
    ),
  },
  {
    what: 'an endpoint that its callers do not find',
    plant: property('network/EndpointsLogs', ['PrivateDnsEnabled'], false),
  },
  {
    what: 'an endpoint for whoever is in the network',
    plant: property(
      'network/EndpointsSecurityGroup',
      ['SecurityGroupIngress'],
      [{ CidrIp: '10.60.0.0/16', IpProtocol: 'tcp', FromPort: 443, ToPort: 443, Description: 'All' }],
    ),
  },
  {
    what: 'a network that logs nothing',
    plant: (templates) => {
      const { Resources } = templates['sluice-prod-network']!;
      for (const [id, { Type }] of Object.entries(Resources)) {
        if (Type === 'AWS::EC2::FlowLog') Reflect.deleteProperty(Resources, id);
      }
    },
  },
  {
    what: 'a database in the subnets of the workers',
    plant: text(
      'data/StoreInstanceSubnetGroup',
      /ExportsOutputRefVpcDatabaseSubnet1\w+/,
      exported(/ExportsOutputRefVpcWorkersSubnet1\w+/),
    ),
  },
  {
    what: 'a database in one zone',
    plant: text(
      'data/StoreInstanceSubnetGroup',
      /ExportsOutputRefVpcDatabaseSubnet1\w+/,
      exported(/ExportsOutputRefVpcDatabaseSubnet2\w+/),
    ),
  },
  {
    what: 'a subnet that gives public addresses',
    plant: property('network/VpcWorkersSubnet1Subnet', ['MapPublicIpOnLaunch'], true),
  },
  {
    what: 'two subnets with the same addresses',
    plant: property('network/VpcDatabaseSubnet1Subnet', ['CidrBlock'], '10.60.1.0/26'),
  },
  {
    what: 'a subnet outside of its network',
    plant: property('network/VpcDatabaseSubnet2Subnet', ['CidrBlock'], '10.99.3.64/26'),
  },
  { what: 'S3 by way of NAT, by the gigabyte', plant: property('network/VpcS3', ['RouteTableIds'], []) },
  {
    what: 'a network with other addresses than its stage says',
    plant: property('network/Vpc', ['CidrBlock'], '10.0.0.0/8'),
  },
];

const fleets: readonly TemplateDefect[] = [
  {
    what: 'credentials without a token (IMDSv1)',
    plant: property(WORKER, [...DATA, 'MetadataOptions', 'HttpTokens'], 'optional'),
  },
  {
    what: 'credentials over two hops',
    plant: property(WORKER, [...DATA, 'MetadataOptions', 'HttpPutResponseHopLimit'], 2),
  },
  { what: 'a key pair', plant: property(WORKER, [...DATA, 'KeyName'], 'mine') },
  {
    what: 'instances with a public address',
    plant: property(WORKER, [...DATA, 'NetworkInterfaces'], [{ DeviceIndex: 0, AssociatePublicIpAddress: true }]),
  },
  {
    what: 'instances of another processor than the image',
    plant: property(WORKER, [...DATA, 'InstanceType'], 'm7i.large'),
  },
  {
    what: 'an image of somebody else',
    plant: (templates) => {
      const { Parameters } = templates['sluice-prod-compute']!;
      const image = Object.values(Object(Parameters)).find((each) => JSON.stringify(each).includes('al2023'));
      Object.assign(Object(image), { Default: '/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2' });
    },
  },
  { what: 'a worker without a role', plant: property(WORKER, [...DATA, 'IamInstanceProfile'], undefined) },
  { what: 'instances in no security group', plant: property(WORKER, [...DATA, 'SecurityGroupIds'], undefined) },
  {
    what: 'a group that waits for no word of a new worker',
    plant: text(GROUP, 'autoscaling:EC2_INSTANCE_LAUNCHING', 'autoscaling:EC2_INSTANCE_TERMINATING'),
  },
  {
    what: 'a hook that lets an instance through whose worker said nothing',
    plant: text(GROUP, '"DefaultResult":"ABANDON"', '"DefaultResult":"CONTINUE"'),
  },
  {
    what: 'a hook that ends before the drain',
    plant: text(
      GROUP,
      /"DefaultResult":"CONTINUE","HeartbeatTimeout":\d+/,
      '"DefaultResult":"CONTINUE","HeartbeatTimeout":30',
    ),
  },
  { what: 'a group without hooks', plant: property(GROUP, ['LifecycleHookSpecificationList'], undefined) },
  {
    what: 'a launch template that a deploy does not follow',
    plant: property(GROUP, ['LaunchTemplate', 'Version'], '1'),
  },
  { what: 'a size that every deploy sets back', plant: property(GROUP, ['DesiredCapacity'], '2') },
  { what: 'a group that may have no instance', plant: property(GROUP, ['MaxSize'], '0') },
  { what: 'a group larger than its stage says', plant: property(GROUP, ['MaxSize'], '50') },
  {
    what: 'a deploy that stops instances before others work',
    plant: attribute(GROUP, ['UpdatePolicy', 'AutoScalingInstanceRefresh', 'Preferences', 'MinHealthyPercentage'], 0),
  },
  { what: 'a deploy that replaces nothing', plant: attribute(GROUP, ['UpdatePolicy'], undefined) },
  { what: 'a group that does not tell its sizes', plant: property(GROUP, ['MetricsCollection'], undefined) },
  { what: 'instances that count before they work', plant: property(GROUP, ['DefaultInstanceWarmup'], 0) },
];

const userData: readonly TemplateDefect[] = [
  { what: 'a worker that runs as root', plant: text(WORKER, 'User=sluice\\n', '') },
  { what: 'a worker that may get new privileges', plant: text(WORKER, 'NoNewPrivileges=yes', 'NoNewPrivileges=no') },
  { what: 'a worker that may write to the file system', plant: text(WORKER, 'ProtectSystem=strict\\n', '') },
  {
    what: 'a unit that forbids what V8 needs',
    plant: text(WORKER, 'PrivateTmp=yes', 'PrivateTmp=yes\\nMemoryDenyWriteExecute=yes'),
  },
  {
    what: 'a worker that is killed before it has drained',
    plant: text(WORKER, /TimeoutStopSec=\d+/, 'TimeoutStopSec=30'),
  },
  { what: 'a worker that is not started again', plant: text(WORKER, 'Restart=on-failure', 'Restart=no') },
  { what: 'a worker that may hang for ever', plant: text(WORKER, /WatchdogSec=\d+\\n/, '') },
  { what: 'an instance that stays without a worker', plant: text(WORKER, /OnFailure=[\w.-]+\\n/, '') },
  { what: 'a script that goes on after a failure', plant: text(WORKER, 'set -euo pipefail', 'set -u') },
  { what: 'an instance without a worker that stays in service', plant: text(WORKER, /trap '[^']*' ERR\\n/, '') },
  {
    what: 'a program from the internet, run as root',
    plant: text(WORKER, 'useradd', 'curl -fsSL https://example.com/install.sh | bash\\nuseradd'),
  },
  { what: 'a bundle from another bucket', plant: text(WORKER, `s3://\${FLEET_BUNDLE_BUCKET}/`, 's3://bundles/') },
  { what: 'a variable that nobody sets', plant: text(WORKER, `\${LOG_LEVEL}`, `\${LOG_LEVELS}`) },
  { what: 'a worker on the queue of another', plant: text(WORKER, queueUrl('Orders'), exported(queueUrl('Ledger'))) },
  {
    what: 'a worker that does not verify its database',
    plant: text(WORKER, '"PGSSLMODE":"verify-full"', '"PGSSLMODE":"require"'),
  },
  { what: 'a worker of another stage', plant: text(WORKER, '"STAGE":"prod"', '"STAGE":"dev"') },
  {
    what: 'an agent that reads another file than the worker writes',
    plant: text(
      WORKER,
      'StandardOutput=append:/var/log/sluice/worker.log',
      'StandardOutput=append:/var/log/sluice/orders.log',
    ),
  },
  {
    what: 'a worker whose drain is not as configured',
    plant: text(WORKER, '"DRAIN_SECONDS":"60"', '"DRAIN_SECONDS":"5"'),
  },
];

const secrets: readonly TemplateDefect[] = [
  {
    what: 'a password among the variables of a worker',
    plant: text(WORKER, '"PGUSER":"sluice_worker"', '"PGUSER":"sluice_worker","PGPASSWORD":"hunter2hunter2"'),
  },
  {
    what: 'an access key in the script',
    plant: text(WORKER, 'useradd', 'export AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\\nuseradd'),
  },
  {
    what: 'a secret access key in a description',
    plant: property('compute/OrdersFleetRole', ['Description'], 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'),
  },
  {
    what: 'a private key in the script',
    plant: text(WORKER, 'useradd', '# -----BEGIN RSA PRIVATE KEY-----\\nuseradd'),
  },
  {
    what: 'a password in the address of a database',
    plant: text(
      WORKER,
      '"PGUSER":"sluice_worker"',
      '"PGUSER":"sluice_worker","DATABASE_URL":"postgres://sluice:hunter2@db/sluice"',
    ),
  },
  {
    what: 'a dynamic reference to the password',
    plant: property(DATABASE, ['DBName'], '{{resolve:secretsmanager:sluice:SecretString:password}}'),
  },
  {
    what: 'a token by chance among the variables',
    plant: text(WORKER, '"PGUSER":"sluice_worker"', '"PGUSER":"3fT9q0ZkW7xB2mLr8VdY1sHc"'),
  },
];

const scaling: readonly TemplateDefect[] = [
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
];

const alarms: readonly TemplateDefect[] = [
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
];

const database: readonly TemplateDefect[] = [
  { what: 'a database that the internet reaches', plant: property(DATABASE, ['PubliclyAccessible'], true) },
  { what: 'a database that is not encrypted', plant: property(DATABASE, ['StorageEncrypted'], false) },
  {
    what: 'a database that takes connections without TLS',
    plant: property('data/StoreParameters', ['Parameters', 'rds.force_ssl'], '0'),
  },
  {
    what: 'a database with the parameters of AWS',
    plant: property(DATABASE, ['DBParameterGroupName'], 'default.postgres18'),
  },
  { what: 'a database of prod that can be deleted', plant: property(DATABASE, ['DeletionProtection'], false) },
  { what: 'a database of prod without a standby', plant: property(DATABASE, ['MultiAZ'], false) },
  { what: 'a database without backups', plant: property(DATABASE, ['BackupRetentionPeriod'], 0) },
  { what: 'a database that leaves no snapshot behind', plant: attribute(DATABASE, ['DeletionPolicy'], 'Delete') },
  {
    what: 'a database whose replacement leaves nothing behind',
    plant: attribute(DATABASE, ['UpdateReplacePolicy'], undefined),
  },
  {
    what: 'a password of the database in its template',
    plant: property(DATABASE, ['MasterUserPassword'], 'hunter2hunter2'),
  },
  {
    what: 'a database that takes no tokens',
    plant: property(DATABASE, ['EnableIAMDatabaseAuthentication'], false),
  },
  { what: 'a database with the key that AWS manages', plant: property(DATABASE, ['KmsKeyId'], undefined) },
  { what: 'a database on gp2', plant: property(DATABASE, ['StorageType'], 'gp2') },
  { what: 'a database that tells nothing', plant: property(DATABASE, ['EnableCloudwatchLogsExports'], []) },
  {
    what: 'a database of a class that the connections were not counted for',
    plant: property(DATABASE, ['DBInstanceClass'], 'db.t4g.micro'),
  },
  {
    what: 'a database whose certificates have run out',
    plant: property(DATABASE, ['CACertificateIdentifier'], 'rds-ca-2019'),
  },
  { what: 'a database in the default subnets', plant: property(DATABASE, ['DBSubnetGroupName'], undefined) },
  {
    what: 'a second database',
    plant: (templates) => {
      const { Resources } = templates['sluice-prod-data']!;
      Resources.Second = structuredClone(Object.values(Resources).find(({ Type }) => Type === 'AWS::RDS::DBInstance')!);
    },
  },
];

const whole: readonly TemplateDefect[] = [
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

/** By what they are about. */
export const templateDefects: Readonly<Record<string, readonly TemplateDefect[]>> = {
  queues,
  policies,
  'keys and storage': keys,
  network,
  fleets,
  'user data': userData,
  secrets,
  scaling,
  alarms,
  database,
  'the whole': whole,
};
