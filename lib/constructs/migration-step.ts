/**
 * The migrations as a step of the deployment: a custom resource that CloudFormation calls before any fleet changes, and whose
 * failure stops the deployment.
 *
 *   migration files ──digest──▶ property of the resource ──changed──▶ function in the network ──owner──▶ database
 *
 * Holds always: a deployment without a new migration calls nothing, and one to another database migrates that; the function
 * can log in as one owner and write one log group, and its own code can do nothing else in AWS. Nobody but CloudFormation calls
 * it, with the rights of whoever deploys.
 *
 * Reserved concurrency is left out on purpose: the lock in the database lets one at a time through, and an account with the
 * quota that new ones have could not deploy it.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ArnFormat, CustomResource, Duration, Stack } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { ClosedSecurityGroup } from './closed-security-group.ts';
import type { PostgresStore } from './postgres-store.ts';
import { functionBundle } from './worker-bundle.ts';
import { WorkerLog } from './worker-log.ts';

const ENTRY = 'workers/migration/handler.ts';
const MIGRATIONS_FOLDER = fileURLToPath(new URL('../../workers/store/migrations', import.meta.url));
/** The longest that Lambda lets a function run. The function itself answers 40 s earlier. */
const TIMEOUT = Duration.minutes(15);
/** When CloudFormation gives up a function that cannot answer at all, in the place of an hour. */
const SERVICE_TIMEOUT = Duration.minutes(20);
/** The driver and a few rows; half of it is Node. */
const MEMORY_MEBIBYTES = 256;

export interface MigrationStepProps {
  /** Name of the function: its own rights name it. */
  readonly functionName: string;

  /** Database that is migrated. */
  readonly store: PostgresStore;

  /** Network that the function is in. */
  readonly vpc: ec2.IVpc;

  /**
   * Subnets that the function is in; they need a way to Secrets Manager, and to S3 for the answer to CloudFormation.
   *
   * @default the private subnets with a way out
   */
  readonly vpcSubnets?: ec2.SubnetSelection;

  /**
   * Security group whose members may call AWS's services; the function joins it.
   *
   * @default none: the function's own group lets out over HTTPS to anywhere
   */
  readonly egress?: ec2.ISecurityGroup;

  /**
   * Where its lines go.
   *
   * @default a log group `/sluice/<functionName>` with a key of its own
   */
  readonly log?: WorkerLog;
}

type WholeProps = MigrationStepProps & Required<Pick<MigrationStepProps, 'vpcSubnets' | 'log'>>;

export class MigrationStep extends Construct implements ec2.IConnectable {
  readonly function: lambda.Function;
  readonly role: iam.Role;
  readonly connections: ec2.Connections;
  /** Whatever needs the schema depends on this. */
  readonly resource: CustomResource;

  constructor(scope: Construct, id: string, given: MigrationStepProps) {
    super(scope, id);
    const props: WholeProps = {
      vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS },
      ...given,
      log: given.log ?? new WorkerLog(this, 'Log', { logGroupName: `/sluice/${given.functionName}` }),
    };
    this.role = this.#functionRole(props);
    const securityGroup = this.#securityGroup(props);
    this.connections = securityGroup.connections;
    this.function = this.#migrationFunction(props, securityGroup);
    this.resource = new CustomResource(this, 'Resource', {
      resourceType: 'Custom::SluiceSchema',
      serviceToken: this.function.functionArn,
      serviceTimeout: SERVICE_TIMEOUT,
      properties: { migrations: migrationsDigest(MIGRATIONS_FOLDER), database: props.store.resourceId },
    });
    // The way into the database and to the log are there before the first call.
    this.resource.node.addDependency(securityGroup, this.role, props.log);
  }

  #functionRole(props: WholeProps): iam.Role {
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
      description: "Migration step: the database's owner and its own log",
    });
    props.store.grantConnectAsOwner(role);
    props.log.grantWrite(role);
    const networkInterfaces = [
      'ec2:AssignPrivateIpAddresses',
      'ec2:CreateNetworkInterface',
      'ec2:DeleteNetworkInterface',
      'ec2:DescribeNetworkInterfaces',
      'ec2:DescribeSubnets',
      'ec2:UnassignPrivateIpAddresses',
    ];
    // Lambda itself makes the network interface, with the rights of the function; to describe them EC2 knows no resource,
    // and Lambda refuses a function whose rights it finds too narrow.
    role.addToPolicy(new iam.PolicyStatement({ actions: networkInterfaces, resources: ['*'] }));
    const ownCode = Stack.of(this).formatArn({
      service: 'lambda',
      resource: 'function',
      resourceName: props.functionName,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    });
    role.addToPolicy(
      new iam.PolicyStatement({
        effect: iam.Effect.DENY,
        actions: networkInterfaces,
        resources: ['*'],
        // Set where the code of the function calls, and not where Lambda does.
        conditions: { ArnEquals: { 'lambda:SourceFunctionArn': ownCode } },
      }),
    );
    return role;
  }

  #securityGroup(props: MigrationStepProps): ec2.SecurityGroup {
    const securityGroup = new ClosedSecurityGroup(this, 'SecurityGroup', {
      vpc: props.vpc,
      description: 'Migration step: nothing in, out to the database',
    });
    if (props.egress === undefined) {
      securityGroup.addEgressRule(ec2.Peer.anyIpv4(), ec2.Port.HTTPS, 'Secrets Manager, and S3 for the answer');
    }
    securityGroup.connections.allowToDefaultPort(props.store, 'Migration step');
    return securityGroup;
  }

  #migrationFunction(props: WholeProps, securityGroup: ec2.SecurityGroup): lambda.Function {
    return new lambda.Function(this, 'Function', {
      functionName: props.functionName,
      description: 'Brings the database to the schema of this deployment',
      runtime: lambda.Runtime.NODEJS_24_X,
      architecture: lambda.Architecture.ARM_64,
      code: functionBundle(ENTRY),
      handler: 'index.handler',
      role: this.role,
      timeout: TIMEOUT,
      memorySize: MEMORY_MEBIBYTES,
      vpc: props.vpc,
      vpcSubnets: props.vpcSubnets,
      securityGroups: props.egress === undefined ? [securityGroup] : [securityGroup, props.egress],
      logGroup: props.log.logGroup,
      // AWS_REGION is Lambda's own to set.
      environment: { ...props.store.ownerEnvironment, NODE_OPTIONS: '--enable-source-maps' },
    });
  }
}

/** Changes exactly when a migration was added, which has no other way to change: what has run stays as it is. */
export function migrationsDigest(folder: string): string {
  const digest = createHash('sha256');
  for (const name of readdirSync(folder).sort()) {
    digest
      .update(`${name}\n`)
      .update(readFileSync(join(folder, name)))
      .update('\n');
  }
  return digest.digest('hex');
}
