/**
 * The network: isolated subnets for workers and database, and one way to AWS's services.
 *
 *   egress 'endpoints'   an interface endpoint for each service that is called; no internet gateway, no way out
 *   egress 'nat'         NAT gateways in public subnets; HTTPS to anywhere
 *
 * Either way S3 is reached through its gateway endpoint, which costs nothing. Which of the two it is, only this file
 * knows: whoever calls AWS joins the security group `egress`, and may then call what the network lets through.
 *
 * Holds always: the subnets have the same addresses under either egress, so that the switch keeps them, with all that is
 * in them; no route leads in from outside.
 */
import { Aws, DefaultStackSynthesizer, Fn, Stack, type StackProps } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { ClosedSecurityGroup } from '../constructs/closed-security-group.ts';
import { FlowLog } from '../constructs/flow-log.ts';
import { s3PrefixListId } from '../constructs/s3-prefix-list.ts';
import { CALLED_SERVICES, ownAccountAlone, ServiceEndpoints } from '../constructs/service-endpoints.ts';
import type { NetworkSettings } from '../settings.ts';

export interface NetworkStackProps extends StackProps {
  /** Name of the stage. */
  readonly stage: string;

  /** Addresses, zones and the way out. */
  readonly network: NetworkSettings;
}

export class NetworkStack extends Stack {
  readonly vpc: ec2.IVpc;
  /** Where workers run: a way to AWS's services, none in. */
  readonly workerSubnets: ec2.SubnetSelection = { subnetGroupName: 'Workers' };
  /** Where the database is: no way out and none in. */
  readonly databaseSubnets: ec2.SubnetSelection = { subnetGroupName: 'Database' };
  /** Its members may call AWS's services over HTTPS; it lets nobody in. */
  readonly egress: ec2.ISecurityGroup;

  constructor(scope: Construct, id: string, props: NetworkStackProps) {
    super(scope, id, props);
    const { network } = props;
    const vpc = this.#vpc(network);
    // A cast, because the CDK types an absent VPN gateway as undefined, and TypeScript's exact optional properties do not.
    this.vpc = vpc as ec2.IVpc;
    this.#s3Gateway(vpc);
    this.egress = this.#egress(network);
    new FlowLog(this, 'FlowLog', {
      vpc: this.vpc,
      logGroupName: `/sluice/${props.stage}/network`,
      retention: network.flowLogRetentionDays,
    });
  }

  #vpc(network: NetworkSettings): ec2.Vpc {
    const nat = network.egress === 'nat';
    return new ec2.Vpc(this, 'Vpc', {
      ipAddresses: ec2.IpAddresses.cidr(network.cidr),
      maxAzs: network.availabilityZones,
      natGateways: nat ? network.natGateways : 0,
      subnetConfiguration: [
        // Its addresses are kept free under 'endpoints', or those of all others would move.
        {
          name: 'Public',
          subnetType: ec2.SubnetType.PUBLIC,
          cidrMask: 26,
          mapPublicIpOnLaunch: false,
          reserved: !nat,
        },
        {
          name: 'Workers',
          subnetType: nat ? ec2.SubnetType.PRIVATE_WITH_EGRESS : ec2.SubnetType.PRIVATE_ISOLATED,
          cidrMask: 24,
        },
        { name: 'Database', subnetType: ec2.SubnetType.PRIVATE_ISOLATED, cidrMask: 26 },
      ],
      // CloudFormation cannot take rules from the default group, only a Lambda function can. Nothing is ever in that
      // group (a test holds it so), and its one rule lets in its own members: it stays as AWS made it.
      restrictDefaultSecurityGroup: false,
    });
  }

  /** Reads bundles and packages and answers CloudFormation, and nothing else of S3. */
  #s3Gateway(vpc: ec2.Vpc): void {
    const gateway = vpc.addGatewayEndpoint('S3', {
      service: ec2.GatewayVpcEndpointAwsService.S3,
      subnets: [this.workerSubnets],
    });
    const objectsOf = (bucketName: string) =>
      this.formatArn({ service: 's3', region: '', account: '', resource: bucketName, resourceName: '*' });
    gateway.addToPolicy(
      ownAccountAlone({ actions: ['s3:GetObject'], resources: [objectsOf(this.#assetBucketName())] }),
    );
    gateway.addToPolicy(
      new iam.PolicyStatement({
        // The repository of Amazon Linux belongs to AWS, and dnf asks for its files without credentials.
        principals: [new iam.AnyPrincipal()],
        actions: ['s3:GetObject'],
        resources: [objectsOf(`al2023-repos-${Aws.REGION}-de612dc2`)],
      }),
    );
    gateway.addToPolicy(
      new iam.PolicyStatement({
        // So does this bucket, to which a function that CloudFormation calls puts its answer, by an address that is signed.
        principals: [new iam.AnyPrincipal()],
        actions: ['s3:PutObject'],
        resources: [objectsOf(`cloudformation-custom-resource-response-${withoutDashes(Aws.REGION)}`)],
      }),
    );
  }

  /** Where `cdk deploy` puts the workers' bundles. */
  #assetBucketName(): string {
    const qualifier = this.synthesizer.bootstrapQualifier ?? DefaultStackSynthesizer.DEFAULT_QUALIFIER;
    return Fn.sub(DefaultStackSynthesizer.DEFAULT_FILE_ASSETS_BUCKET_NAME.replace('${Qualifier}', qualifier));
  }

  #egress(network: NetworkSettings): ec2.SecurityGroup {
    const egress = new ClosedSecurityGroup(this, 'Egress', {
      vpc: this.vpc,
      description: 'Those who call AWS services: nothing in, out over HTTPS',
    });
    if (network.egress === 'nat') {
      egress.addEgressRule(ec2.Peer.anyIpv4(), ec2.Port.HTTPS, 'AWS services, through NAT');
      return egress;
    }
    const { subnets } = this.vpc.selectSubnets(this.workerSubnets);
    const endpoints = new ServiceEndpoints(this, 'Endpoints', {
      vpc: this.vpc,
      subnets: subnets.slice(0, network.endpointZones),
      services: CALLED_SERVICES,
    });
    endpoints.connections.allowDefaultPortFrom(egress, 'Those who call AWS services');
    egress.addEgressRule(ec2.Peer.prefixList(s3PrefixListId(this)), ec2.Port.HTTPS, 'S3, through its gateway');
    return egress;
  }
}

/** `uswest2`, as CloudFormation has it in the names of its buckets. */
function withoutDashes(region: string): string {
  return Fn.join('', Fn.split('-', region));
}
