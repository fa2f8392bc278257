/** A database as a fleet needs it: a PostgresStore, or one that an app has already. */
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as iam from 'aws-cdk-lib/aws-iam';

/** It has the tables of `workers/store/migrations`, and is reached over TLS at the default port of its `connections`. */
export interface WorkerDatabase extends ec2.IConnectable {
  /** What a worker is told of it: PGHOST, and of PGPORT, PGDATABASE and PGUSER what differs from their defaults. */
  readonly environment: Readonly<Record<string, string>>;
  /** Lets `grantee` log in with a token of IAM, as the user that workers are. */
  grantConnect(grantee: iam.IGrantable): iam.Grant;
}
