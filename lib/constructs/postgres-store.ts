/**
 * A PostgreSQL database that only workers and the migration step reach: encrypted with a key of its own, TLS forced, never
 * public.
 *
 * Workers log in as `sluice_worker` with a token of IAM and have no password. The owner's password nobody ever holds: RDS
 * makes it, keeps it in Secrets Manager and rotates it, and the migration step reads it at run time.
 *
 * Holds always: a log group is there, encrypted and with an end, before RDS writes the first line into it, for which the
 * instance has a name of one's own choosing; what can cost money without anybody having asked for it is off; a database
 * that begins with a snapshot differs from an empty one in nothing but what the snapshot decides.
 */
import assert from 'node:assert/strict';
import { ArnFormat, Duration, Names, RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as rds from 'aws-cdk-lib/aws-rds';
import { Construct } from 'constructs';
import type { CERTIFICATE_AUTHORITIES, INSIGHTS_MODES, MONITORING_INTERVALS_SECONDS } from './database-limits.ts';
import { KEPT, keptOnceMade } from './kept.ts';
import { letLogsEncrypt } from './log-encryption.ts';
import type { WorkerDatabase } from './worker-database.ts';

/** Database and owner; the local server uses the same names. */
const DATABASE_NAME = 'sluice';
const OWNER_NAME = 'sluice';
/** As the migrations make it, and local/worker-login.ts uses it. */
export const WORKER_NAME = 'sluice_worker';
const PORT = 5432;
const INSTANCE_IDENTIFIER_MAX = 63;
const STORAGE_MIN_GIB = 20;
/** RDS writes one file of each into a log group of that name. */
const LOG_EXPORTS = ['postgresql', 'upgrade'] as const;

export interface PostgresStoreProps {
  /**
   * Name of the instance, which its log groups have in theirs; lower-case letters, digits and single hyphens.
   *
   * @default a name made of the construct's path
   */
  readonly instanceIdentifier?: string;

  /**
   * Snapshot that the database begins with, by its name or ARN; encrypted, and of a database that this construct made.
   *
   * The snapshot decides key, owner and database name. In a stack that has a database already it needs another
   * `instanceIdentifier`, because CloudFormation makes the new one before it deletes the old. It has to stay as long as the
   * database does: without it CloudFormation makes an empty one in its place.
   *
   * @default none: an empty database
   */
  readonly snapshotIdentifier?: string;

  /** Network that the database is in. */
  readonly vpc: ec2.IVpc;

  /**
   * Subnets that the database is in; none of them public.
   *
   * @default the isolated subnets
   */
  readonly vpcSubnets?: ec2.SubnetSelection;

  /**
   * Class of the instance, Graviton.
   *
   * @default db.t4g.micro
   */
  readonly instanceClass?: string;

  /**
   * Storage that the database starts with, in GiB; at least that of its snapshot.
   *
   * @default 20, the least that RDS has
   */
  readonly allocatedStorageGib?: number;

  /**
   * Size up to which RDS grows the storage by itself, in GiB; at least a tenth above the start.
   *
   * @default twice `allocatedStorageGib`
   */
  readonly maxAllocatedStorageGib?: number;

  /**
   * Whether a standby in a second availability zone takes over when the first fails.
   *
   * @default false
   */
  readonly multiAz?: boolean;

  /**
   * How long automated backups are kept, and so how far back a point-in-time recovery reaches.
   *
   * @default 14 days
   */
  readonly backupRetention?: Duration;

  /**
   * When RDS takes its daily backup, UTC.
   *
   * @default 02:00-03:00
   */
  readonly backupWindow?: string;

  /**
   * When RDS may restart the database for a minor version or a patch, UTC; not while it takes its backup.
   *
   * @default sun:03:30-sun:04:30
   */
  readonly maintenanceWindow?: string;

  /**
   * What Database Insights keeps: `standard` 7 days for nothing, `advanced` 15 months for a price by the processor.
   *
   * @default standard
   */
  readonly insightsMode?: (typeof INSIGHTS_MODES)[number];

  /**
   * How often RDS writes down what the machine and its processes do, in seconds; 0 for never.
   *
   * @default 0
   */
  readonly monitoringIntervalSeconds?: (typeof MONITORING_INTERVALS_SECONDS)[number];

  /**
   * Who signs the certificate of the server.
   *
   * @default rds-ca-rsa2048-g1
   */
  readonly certificateAuthority?: (typeof CERTIFICATE_AUTHORITIES)[number];

  /**
   * How long the log lines of PostgreSQL are kept.
   *
   * @default one month
   */
  readonly logRetention?: logs.RetentionDays;

  /**
   * Whether RDS refuses to delete the database.
   *
   * @default true
   */
  readonly deletionProtection?: boolean;

  /**
   * What becomes of the database, and with it of its key, when it leaves the stack; what is kept is not kept where it
   * could not be made.
   *
   * @default RemovalPolicy.SNAPSHOT
   */
  readonly removalPolicy?: RemovalPolicy;
}

export class PostgresStore extends Construct implements WorkerDatabase {
  readonly instance: rds.IDatabaseInstance;
  /** Encrypts the storage, its snapshots, the insights and the log lines. */
  readonly encryptionKey: kms.Key;
  /** Of each file that PostgreSQL logs into. */
  readonly logGroups: readonly logs.LogGroup[];
  /** Ask a client for `client.connections.allowToDefaultPort(store)`: the rule then lives in the client's stack, and stacks form no cycle. */
  readonly connections: ec2.Connections;
  /** Secret with `username` and `password` of the owner, made and rotated by RDS. */
  readonly secretArn: string;
  /** What a worker reads to connect; whoever has it needs `grantConnect` as well. */
  readonly environment: Readonly<Record<string, string>>;
  /** What the migration step reads to connect; whoever has it needs `grantConnectAsOwner` as well. */
  readonly ownerEnvironment: Readonly<Record<string, string>>;
  readonly #instanceIdentifier: string;

  constructor(scope: Construct, id: string, props: PostgresStoreProps) {
    super(scope, id);
    this.#instanceIdentifier =
      props.instanceIdentifier ??
      Names.uniqueResourceName(this, { maxLength: INSTANCE_IDENTIFIER_MAX, separator: '-' }).toLowerCase();
    const securityGroup = new ec2.SecurityGroup(this, 'SecurityGroup', {
      vpc: props.vpc,
      description: 'PostgreSQL of Sluice: in from workers and the migration step, out to nowhere',
      allowAllOutbound: false,
    });
    this.encryptionKey = this.#key(props);
    this.logGroups = LOG_EXPORTS.map((name) => this.#logGroup(name, props));
    this.instance = this.#instance(props, securityGroup);
    this.instance.node.addDependency(...this.logGroups);

    // With the port as a number: the instance's own knows it only after deployment.
    this.connections = new ec2.Connections({ securityGroups: [securityGroup], defaultPort: ec2.Port.tcp(PORT) });
    this.secretArn = instanceResource(this.instance).attrMasterUserSecretSecretArn;
    const common = {
      PGHOST: this.instance.dbInstanceEndpointAddress,
      PGPORT: String(PORT),
      PGDATABASE: DATABASE_NAME,
      PGSSLMODE: 'verify-full',
    };
    this.environment = { ...common, PGUSER: WORKER_NAME };
    this.ownerEnvironment = { ...common, PGUSER: OWNER_NAME, DATABASE_SECRET_ARN: this.secretArn };
  }

  /** Lets `grantee` log in as `sluice_worker`, and as nobody else. */
  grantConnect(grantee: iam.IGrantable): iam.Grant {
    return this.#grantLogin(grantee, WORKER_NAME);
  }

  /** Lets `grantee` log in as the owner, with the password that it reads and with tokens. */
  grantConnectAsOwner(grantee: iam.IGrantable): void {
    this.grantReadSecret(grantee);
    this.#grantLogin(grantee, OWNER_NAME);
  }

  #grantLogin(grantee: iam.IGrantable, userName: string): iam.Grant {
    const user = Stack.of(this).formatArn({
      service: 'rds-db',
      resource: 'dbuser',
      resourceName: `${this.resourceId}/${userName}`,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    });
    return iam.Grant.addToPrincipal({ grantee, actions: ['rds-db:connect'], resourceArns: [user] });
  }

  /** Lets `grantee` read the owner's password; its key is AWS's own for Secrets Manager, which needs no grant. */
  grantReadSecret(grantee: iam.IGrantable): iam.Grant {
    return iam.Grant.addToPrincipal({
      grantee,
      actions: ['secretsmanager:GetSecretValue'],
      resourceArns: [this.secretArn],
    });
  }

  /** What tells this database from another of its name: a restored one has another. */
  get resourceId(): string {
    const { instanceResourceId } = this.instance;
    if (instanceResourceId === undefined) throw new Error(`${this.node.path}: the instance has no resource id`);
    return instanceResourceId;
  }

  /** One key for all that is of this database: whoever may read its storage may read its logs. */
  #key({ removalPolicy }: PostgresStoreProps): kms.Key {
    return new kms.Key(this, 'Key', {
      description: `Storage, snapshots, insights and log lines of ${this.#instanceIdentifier}`,
      enableKeyRotation: true,
      // A snapshot that stays is of no use without it.
      removalPolicy: removalPolicy === RemovalPolicy.DESTROY ? RemovalPolicy.DESTROY : KEPT,
    });
  }

  #logGroup(name: (typeof LOG_EXPORTS)[number], props: PostgresStoreProps): logs.LogGroup {
    const logGroupName = `/aws/rds/instance/${this.#instanceIdentifier}/${name}`;
    letLogsEncrypt(this.encryptionKey, logGroupName);
    return new logs.LogGroup(this, `${name === 'postgresql' ? 'Postgresql' : 'Upgrade'}Log`, {
      logGroupName,
      encryptionKey: this.encryptionKey,
      retention: props.logRetention ?? logs.RetentionDays.ONE_MONTH,
      // A group that stayed would stand in the way of the next deployment under the same name.
      removalPolicy: RemovalPolicy.DESTROY,
    });
  }

  #instance(props: PostgresStoreProps, securityGroup: ec2.SecurityGroup): rds.IDatabaseInstance {
    const common = this.#settings(props, securityGroup);
    if (props.snapshotIdentifier === undefined) {
      return new rds.DatabaseInstance(this, 'Instance', {
        ...common,
        storageEncrypted: true,
        storageEncryptionKey: this.encryptionKey,
        databaseName: DATABASE_NAME,
        credentials: rds.Credentials.fromUsername(OWNER_NAME),
        manageMasterUserPassword: true,
      });
    }
    const restored = new rds.DatabaseInstanceFromSnapshot(this, 'Instance', {
      ...common,
      snapshotIdentifier: props.snapshotIdentifier,
    });
    // The CDK has it for empty databases alone; CloudFormation turns it on after it has restored the snapshot.
    instanceResource(restored).manageMasterUserPassword = true;
    return restored;
  }

  #settings(props: PostgresStoreProps, securityGroup: ec2.SecurityGroup): rds.DatabaseInstanceSourceProps {
    // Of the same major version as the server that runs locally.
    const engine = rds.DatabaseInstanceEngine.postgres({ version: rds.PostgresEngineVersion.VER_18_3 });
    const allocatedStorage = props.allocatedStorageGib ?? STORAGE_MIN_GIB;
    const removalPolicy = keptOnceMade(props.removalPolicy ?? RemovalPolicy.SNAPSHOT);
    return {
      engine,
      instanceIdentifier: this.#instanceIdentifier,
      // Beyond the end of community support RDS charges by the core hour for staying: upgrade instead.
      engineLifecycleSupport: rds.EngineLifecycleSupport.OPEN_SOURCE_RDS_EXTENDED_SUPPORT_DISABLED,
      autoMinorVersionUpgrade: true,
      // A major one needs a rehearsal, and is a deployment of its own.
      allowMajorVersionUpgrade: false,
      instanceType: new ec2.InstanceType((props.instanceClass ?? 'db.t4g.micro').replace(/^db\./, '')),
      multiAz: props.multiAz ?? false,
      storageType: rds.StorageType.GP3,
      allocatedStorage,
      maxAllocatedStorage: props.maxAllocatedStorageGib ?? 2 * allocatedStorage,
      iamAuthentication: true,
      port: PORT,
      vpc: props.vpc,
      vpcSubnets: props.vpcSubnets ?? { subnetType: ec2.SubnetType.PRIVATE_ISOLATED },
      securityGroups: [securityGroup],
      publiclyAccessible: false,
      caCertificate: rds.CaCertificate.of(props.certificateAuthority ?? 'rds-ca-rsa2048-g1'),
      parameterGroup: this.#parameters(engine),
      cloudwatchLogsExports: [...LOG_EXPORTS],
      ...this.#insights(props.insightsMode ?? 'standard'),
      ...this.#monitoring(props.monitoringIntervalSeconds ?? 0),
      backupRetention: props.backupRetention ?? Duration.days(14),
      preferredBackupWindow: props.backupWindow ?? '02:00-03:00',
      preferredMaintenanceWindow: props.maintenanceWindow ?? 'sun:03:30-sun:04:30',
      copyTagsToSnapshot: true,
      deleteAutomatedBackups: removalPolicy === RemovalPolicy.DESTROY,
      deletionProtection: props.deletionProtection ?? true,
      removalPolicy,
    };
  }

  #parameters(engine: rds.IInstanceEngine): rds.ParameterGroup {
    return new rds.ParameterGroup(this, 'Parameters', {
      engine,
      description: 'PostgreSQL of Sluice',
      parameters: {
        'rds.force_ssl': '1',
        // Who waits for whom, which is what migrations and workers get into each other's way by.
        log_lock_waits: '1',
      },
    });
  }

  #insights(mode: (typeof INSIGHTS_MODES)[number]) {
    const advanced = mode === 'advanced';
    return {
      databaseInsightsMode: advanced ? rds.DatabaseInsightsMode.ADVANCED : rds.DatabaseInsightsMode.STANDARD,
      enablePerformanceInsights: true,
      // The longest that costs nothing, and the one that the advanced mode demands.
      performanceInsightRetention: advanced
        ? rds.PerformanceInsightRetention.MONTHS_15
        : rds.PerformanceInsightRetention.DEFAULT,
      performanceInsightEncryptionKey: this.encryptionKey,
    };
  }

  /** Enhanced monitoring, by a role that can write into its one log group, which RDS makes and all databases of the account share. */
  #monitoring(intervalSeconds: number) {
    if (intervalSeconds === 0) return {};
    const stack = Stack.of(this);
    const database = stack.formatArn({
      service: 'rds',
      resource: 'db',
      resourceName: this.#instanceIdentifier,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    });
    const monitoringRole = new iam.Role(this, 'MonitoringRole', {
      assumedBy: new iam.ServicePrincipal('monitoring.rds.amazonaws.com', {
        conditions: {
          StringEquals: { 'aws:SourceAccount': stack.account },
          ArnLike: { 'aws:SourceArn': database },
        },
      }),
      description: `Enhanced monitoring of ${this.#instanceIdentifier}: its lines into the log group of RDS`,
      inlinePolicies: { WriteMetrics: new iam.PolicyDocument({ statements: monitoringStatements(stack) }) },
    });
    return { monitoringInterval: Duration.seconds(intervalSeconds), monitoringRole };
  }
}

function instanceResource(instance: rds.IDatabaseInstance): rds.CfnDBInstance {
  const resource = instance.node.defaultChild;
  assert(resource instanceof rds.CfnDBInstance, `${instance.node.path} is made of an instance of RDS`);
  return resource;
}

/**
 * What AWS's own policy for it allows, for the one group and not for all whose names begin alike.
 *
 * CloudWatch Logs asks for the rights to a group by its name with or without `:*` or `:log-stream:` behind it, by the action.
 */
function monitoringStatements(stack: Stack): iam.PolicyStatement[] {
  const group = stack.formatArn({
    service: 'logs',
    resource: 'log-group',
    resourceName: 'RDSOSMetrics',
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  });
  return [
    new iam.PolicyStatement({
      actions: ['logs:CreateLogGroup', 'logs:PutRetentionPolicy'],
      resources: [group, `${group}:*`],
    }),
    new iam.PolicyStatement({
      actions: ['logs:CreateLogStream', 'logs:DescribeLogStreams', 'logs:GetLogEvents', 'logs:PutLogEvents'],
      resources: [`${group}:*`],
    }),
  ];
}
