/**
 * A PostgreSQL database that only workers reach: encrypted, TLS forced, never public, its password kept by RDS.
 *
 * Nobody here ever holds the password: RDS makes it, keeps it in Secrets Manager and rotates it, and whoever is
 * granted the secret reads it at run time.
 */
import { type Duration, RemovalPolicy } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as rds from 'aws-cdk-lib/aws-rds';
import { Construct } from 'constructs';

/** Database and master user; the local server uses the same names. */
const DATABASE_NAME = 'sluice';
const USER_NAME = 'sluice';
const PORT = 5432;

export interface PostgresStoreProps {
  /** Network that the database is in. */
  readonly vpc: ec2.IVpc;

  /** Subnets that the database is in; none of them public. */
  readonly vpcSubnets: ec2.SubnetSelection;

  /** Class of the instance, such as `db.t4g.micro`. */
  readonly instanceClass: string;

  /** Storage that the database starts with, in GiB. */
  readonly allocatedStorageGib: number;

  /** Size up to which RDS grows the storage by itself, in GiB. */
  readonly maxAllocatedStorageGib: number;

  /**
   * Whether a standby in a second availability zone takes over when the first fails.
   *
   * @default false
   */
  readonly multiAz?: boolean;

  /** How long automated backups are kept, and so how far back a point-in-time recovery reaches. */
  readonly backupRetention: Duration;

  /**
   * Whether RDS refuses to delete the database.
   *
   * @default true
   */
  readonly deletionProtection?: boolean;

  /** What becomes of the database when it leaves the stack. */
  readonly removalPolicy: RemovalPolicy;
}

export class PostgresStore extends Construct implements ec2.IConnectable {
  readonly instance: rds.DatabaseInstance;
  /** Ask a client for `client.connections.allowToDefaultPort(store)`: the rule then lives in the client's stack, and stacks form no cycle. */
  readonly connections: ec2.Connections;
  /** Secret with `username` and `password`, made and rotated by RDS. */
  readonly secretArn: string;
  /** What libpq and its kin read to connect, and where the password is; no secret in it. */
  readonly environment: Readonly<Record<string, string>>;

  constructor(scope: Construct, id: string, props: PostgresStoreProps) {
    super(scope, id);
    // Of the same major version as the server that runs locally.
    const engine = rds.DatabaseInstanceEngine.postgres({ version: rds.PostgresEngineVersion.VER_18_3 });
    const securityGroup = new ec2.SecurityGroup(this, 'SecurityGroup', {
      vpc: props.vpc,
      description: 'PostgreSQL of Sluice: in from the worker fleets, out to nowhere',
      allowAllOutbound: false,
    });

    this.instance = new rds.DatabaseInstance(this, 'Instance', {
      engine,
      // Beyond the end of community support RDS charges by the core hour for staying: upgrade instead.
      engineLifecycleSupport: rds.EngineLifecycleSupport.OPEN_SOURCE_RDS_EXTENDED_SUPPORT_DISABLED,
      autoMinorVersionUpgrade: true,
      instanceType: new ec2.InstanceType(props.instanceClass.replace(/^db\./, '')),
      multiAz: props.multiAz ?? false,
      storageType: rds.StorageType.GP3,
      storageEncrypted: true,
      allocatedStorage: props.allocatedStorageGib,
      maxAllocatedStorage: props.maxAllocatedStorageGib,
      databaseName: DATABASE_NAME,
      credentials: rds.Credentials.fromUsername(USER_NAME),
      manageMasterUserPassword: true,
      port: PORT,
      vpc: props.vpc,
      vpcSubnets: props.vpcSubnets,
      securityGroups: [securityGroup],
      publiclyAccessible: false,
      caCertificate: rds.CaCertificate.RDS_CA_RSA2048_G1,
      parameterGroup: new rds.ParameterGroup(this, 'Parameters', { engine, parameters: { 'rds.force_ssl': '1' } }),
      cloudwatchLogsExports: ['postgresql', 'upgrade'],
      backupRetention: props.backupRetention,
      copyTagsToSnapshot: true,
      deleteAutomatedBackups: props.removalPolicy === RemovalPolicy.DESTROY,
      deletionProtection: props.deletionProtection ?? true,
      removalPolicy: props.removalPolicy,
    });

    const { secret } = this.instance;
    if (secret === undefined) throw new Error(`${this.node.path}: RDS manages the password but names no secret`);
    // With the port as a number: the instance's own knows it only after deployment.
    this.connections = new ec2.Connections({ securityGroups: [securityGroup], defaultPort: ec2.Port.tcp(PORT) });
    this.secretArn = secret.secretArn;
    this.environment = {
      PGHOST: this.instance.dbInstanceEndpointAddress,
      PGPORT: String(PORT),
      PGDATABASE: DATABASE_NAME,
      PGUSER: USER_NAME,
      PGSSLMODE: 'verify-full',
      DATABASE_SECRET_ARN: this.secretArn,
    };
  }

  /** Lets `grantee` read the password; its key is AWS's own for Secrets Manager, which needs no grant. */
  grantReadSecret(grantee: iam.IGrantable): iam.Grant {
    return iam.Grant.addToPrincipal({
      grantee,
      actions: ['secretsmanager:GetSecretValue'],
      resourceArns: [this.secretArn],
    });
  }
}
