/**
 * The stacks of one stage, cut by lifecycle: what changes together is deployed together.
 *
 *   monitoring ──▶ all of these but the network
 *
 *   compute ──▶ schema ──▶ data ──▶ network
 *      │  └───────────────────────────▲
 *      └────▶ messaging
 *
 * Of the schema compute uses nothing: it only comes later, so that no fleet changes when a migration fails.
 *
 * Holds always: the templates depend on the configuration and the sources alone; no account, no region, no look-up
 * and no clock takes part, so the same bytes come out anywhere.
 */
import { type App, Tags } from 'aws-cdk-lib';
import { imagesOf } from './images.ts';
import type { StageConfiguration } from './settings.ts';
import { ComputeStack } from './stacks/compute-stack.ts';
import { DataStack } from './stacks/data-stack.ts';
import { MessagingStack } from './stacks/messaging-stack.ts';
import { MonitoringStack } from './stacks/monitoring-stack.ts';
import { NetworkStack } from './stacks/network-stack.ts';
import { SchemaStack } from './stacks/schema-stack.ts';
import { warnWithoutAlarmEmails, warnWithoutImage } from './warnings.ts';

/** What everything that takes tags is found and billed by, beside its stage. */
const PROJECT = 'sluice';

export interface Stacks {
  readonly network: NetworkStack;
  readonly data: DataStack;
  readonly schema: SchemaStack;
  readonly messaging: MessagingStack;
  readonly compute: ComputeStack;
  readonly monitoring: MonitoringStack;
}

/** Builds the stacks of `configuration` into `app`. */
export function buildApp(app: App, configuration: StageConfiguration): Stacks {
  const { stage, terminationProtection } = configuration;
  Tags.of(app).add('project', PROJECT);
  Tags.of(app).add('stage', stage);
  const name = (part: string) => `sluice-${stage}-${part}`;

  const network = new NetworkStack(app, name('network'), {
    description: `Sluice ${stage}: the network`,
    stage,
    network: configuration.network,
  });
  const data = new DataStack(app, name('data'), {
    description: `Sluice ${stage}: the database`,
    terminationProtection,
    stage,
    database: configuration.database,
    network,
  });
  const schema = new SchemaStack(app, name('schema'), {
    description: `Sluice ${stage}: the schema of the database`,
    stage,
    logRetentionDays: configuration.database.logRetentionDays,
    network,
    store: data.store,
  });
  const messaging = new MessagingStack(app, name('messaging'), {
    description: `Sluice ${stage}: the queues and their key`,
    terminationProtection,
    stage,
    queues: configuration.queues,
    queueRemovalPolicy: configuration.queueRemovalPolicy,
  });
  const images = imagesOf(stage);
  const compute = new ComputeStack(app, name('compute'), {
    description: `Sluice ${stage}: the worker fleets`,
    stage,
    fleets: configuration.fleets,
    images,
    logRetentionDays: configuration.watching.workerLogRetentionDays,
    network,
    messaging,
    store: data.store,
  });
  compute.addStackDependency(schema, 'workers need the schema of their own version or a newer one');
  const monitoring = new MonitoringStack(app, name('monitoring'), {
    description: `Sluice ${stage}: alarms and dashboards`,
    stage,
    watching: configuration.watching,
    database: configuration.database,
    fleets: configuration.fleets,
    messaging,
    compute,
    store: data.store,
  });
  warnWithoutImage(compute, stage, images);
  warnWithoutAlarmEmails(monitoring, configuration);
  return { network, data, schema, messaging, compute, monitoring };
}
