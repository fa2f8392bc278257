/**
 * The ways to AWS's services from a network that has no other way out: an interface endpoint for each service that the
 * code calls, and one security group in front of them all.
 *
 * Holds always: a service that a worker or a function calls is here with exactly the actions that some role is granted
 * (tests hold both against the imports and the templates); an endpoint takes calls of this account's own principals
 * alone, for what belongs to this account alone, so that nothing can be carried off with the credentials of another.
 */
import { Aws } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { ClosedSecurityGroup } from './closed-security-group.ts';

/** A service that is called, and what of it. */
export interface CalledService {
  /** Name of the endpoint within its stack. */
  readonly name: string;

  /** Package of the AWS SDK that calls it; none where it is not the code but a program beside it. */
  readonly client?: string;

  readonly service: ec2.IInterfaceVpcEndpointService;

  /** Actions that go through. */
  readonly actions: readonly string[];
}

/**
 * Not here: KMS, which SQS and RDS call by themselves; STS, because instances have their credentials from the metadata
 * service; CloudWatch's metrics, which are made of log lines; RDS, whose login tokens are signed on the spot.
 */
export const CALLED_SERVICES: readonly CalledService[] = [
  {
    name: 'Sqs',
    client: '@aws-sdk/client-sqs',
    service: ec2.InterfaceVpcEndpointAwsService.SQS,
    actions: [
      'sqs:ChangeMessageVisibility',
      'sqs:DeleteMessage',
      'sqs:GetQueueAttributes',
      'sqs:ReceiveMessage',
      'sqs:SendMessage',
    ],
  },
  {
    name: 'SecretsManager',
    client: '@aws-sdk/client-secrets-manager',
    service: ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    actions: ['secretsmanager:GetSecretValue'],
  },
  {
    name: 'AutoScaling',
    client: '@aws-sdk/client-auto-scaling',
    service: ec2.InterfaceVpcEndpointAwsService.AUTOSCALING,
    actions: ['autoscaling:CompleteLifecycleAction', 'autoscaling:RecordLifecycleActionHeartbeat'],
  },
  {
    // The CloudWatch agent.
    name: 'Logs',
    service: ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
  },
];

export interface ServiceEndpointsProps {
  /** Network that the endpoints are in; its DNS answers the services' own names with them. */
  readonly vpc: ec2.IVpc;

  /** Subnets of the endpoints, at most one of a zone; each costs by the hour. */
  readonly subnets: readonly ec2.ISubnet[];

  /** Services that have one. */
  readonly services: readonly CalledService[];
}

export class ServiceEndpoints extends Construct implements ec2.IConnectable {
  /** Whoever calls: `endpoints.connections.allowDefaultPortFrom(caller)`. */
  readonly connections: ec2.Connections;

  constructor(scope: Construct, id: string, props: ServiceEndpointsProps) {
    super(scope, id);
    const securityGroup = new ClosedSecurityGroup(this, 'SecurityGroup', {
      vpc: props.vpc,
      description: 'Endpoints of AWS services: in over HTTPS from those who may call, out to nowhere',
    });
    this.connections = new ec2.Connections({ securityGroups: [securityGroup], defaultPort: ec2.Port.tcp(443) });
    for (const { name, service, actions } of props.services) {
      const endpoint = new ec2.InterfaceVpcEndpoint(this, name, {
        vpc: props.vpc,
        service,
        subnets: { subnets: [...props.subnets] },
        securityGroups: [securityGroup],
        // Otherwise everybody in the network could call.
        open: false,
        privateDnsEnabled: true,
      });
      endpoint.addToPolicy(ownAccountAlone({ actions: [...actions], resources: ['*'] }));
    }
  }
}

/**
 * Allows `statement` to this account's own principals, for this account's own resources.
 *
 * By condition and not by principal, because a gateway endpoint takes no other than everybody.
 */
export function ownAccountAlone(statement: {
  readonly actions: string[];
  readonly resources: string[];
}): iam.PolicyStatement {
  return new iam.PolicyStatement({
    ...statement,
    principals: [new iam.AnyPrincipal()],
    conditions: {
      StringEquals: { 'aws:PrincipalAccount': Aws.ACCOUNT_ID, 'aws:ResourceAccount': Aws.ACCOUNT_ID },
    },
  });
}
