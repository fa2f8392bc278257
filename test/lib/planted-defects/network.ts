/** What can be wrong with the network in a template, one at a time. */
import { DATABASE, exported, GROUP } from './places.ts';
import { added, located, property, removed, statement, type TemplateDefect, text } from './planting.ts';

export const network: readonly TemplateDefect[] = [
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
  {
    what: 'an endpoint that lets no message be deleted',
    plant: text('network/EndpointsSqs', '"sqs:DeleteMessage",', ''),
  },
  {
    what: 'an endpoint that lets nobody in',
    plant: removed('network/EndpointsSecurityGroupfromsluiceprodnetworkEgress873DA30D44357EB4A81'),
  },
  {
    what: 'callers who are not let out to S3',
    plant: removed('network/EgresstoIndirectPeer44327D1B865'),
  },
  {
    what: 'a gateway without the packages of Amazon Linux',
    plant: text('network/VpcS3', 'al2023-repos-', 'al2-repos-'),
  },
  {
    what: 'a gateway without answers to CloudFormation',
    plant: text('network/VpcS3', 's3:PutObject', 's3:GetObject'),
  },
  {
    what: 'a flow log that nobody may write',
    plant: property('network/FlowLog31A0BD0F', ['DeliverLogsPermissionArn'], undefined),
  },
  { what: 'a security group of another network', plant: property('data/StoreSecurityGroup', ['VpcId'], undefined) },
  {
    what: 'a way to the buckets of others',
    plant: statement('network/VpcS3', '-assets-', (found) => Reflect.deleteProperty(found, 'Condition')),
  },
  {
    what: 'an endpoint by which messages can be sent to the queues of others',
    plant: statement('network/EndpointsSqs', 'sqs:SendMessage', (found) =>
      Reflect.deleteProperty(Object(Reflect.get(Object(found.Condition), 'StringEquals')), 'aws:ResourceAccount'),
    ),
  },
  {
    what: 'a migration in one zone',
    plant: property('schema/MigrationFunction', ['VpcConfig', 'SubnetIds', 1], undefined),
  },
  {
    what: 'an endpoint to a service that there is not',
    plant: text('network/EndpointsLogs', '["com.amazonaws.",', '["com.amazon.",'),
  },
  { what: 'an endpoint of no kind', plant: property('network/EndpointsSqs', ['VpcEndpointType'], undefined) },
  {
    what: 'an endpoint that lets nobody through',
    plant: text('network/EndpointsSqs', '{"AWS":"*"}', '{"AWS":"arn:aws:iam:::user/x"}'),
  },
];
