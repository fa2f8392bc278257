/** The network: public subnets for the NAT gateways alone, private ones for workers, isolated ones for the database. */
import { Stack, type StackProps } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type { Construct } from 'constructs';
import type { NetworkSettings } from '../config.ts';

export interface NetworkStackProps extends StackProps {
  /** Addresses, zones and NAT gateways. */
  readonly network: NetworkSettings;
}

export class NetworkStack extends Stack {
  readonly vpc: ec2.IVpc;
  /** Where workers run: a way out through NAT, none in. */
  readonly workerSubnets: ec2.SubnetSelection = { subnetGroupName: 'Workers' };
  /** Where the database is: no way out and none in. */
  readonly databaseSubnets: ec2.SubnetSelection = { subnetGroupName: 'Database' };

  constructor(scope: Construct, id: string, props: NetworkStackProps) {
    super(scope, id, props);
    const vpc = new ec2.Vpc(this, 'Vpc', {
      ipAddresses: ec2.IpAddresses.cidr(props.network.cidr),
      maxAzs: props.network.availabilityZones,
      natGateways: props.network.natGateways,
      subnetConfiguration: [
        { name: 'Public', subnetType: ec2.SubnetType.PUBLIC, cidrMask: 26, mapPublicIpOnLaunch: false },
        { name: 'Workers', subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 24 },
        { name: 'Database', subnetType: ec2.SubnetType.PRIVATE_ISOLATED, cidrMask: 26 },
      ],
      // CloudFormation cannot take rules from the default group, only a Lambda function can. Nothing is ever in that
      // group (a test holds it so), and its one rule lets in its own members: it stays as AWS made it.
      restrictDefaultSecurityGroup: false,
    });
    // A cast, because the CDK types an absent VPN gateway as undefined, and TypeScript's exact optional properties do not.
    this.vpc = vpc as ec2.IVpc;
    // Bundles and packages come from S3: through the gateway they cost nothing, through NAT by the gigabyte.
    vpc.addGatewayEndpoint('S3', { service: ec2.GatewayVpcEndpointAwsService.S3, subnets: [this.workerSubnets] });
  }
}
