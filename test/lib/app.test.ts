import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Stack } from 'aws-cdk-lib';
import { CfnQueue } from 'aws-cdk-lib/aws-sqs';
import { buildApp } from '../../lib/app.ts';
import { configurationOf, stageNames } from '../../lib/config.ts';
import { checkedConfiguration } from '../../lib/settings.ts';
import { synthesized, synthesizedStage } from './synthesized.ts';

const hash = /[0-9a-f]{64}/g;

/**
 * A bundle's hash changes with every line of a worker, and says nothing that a reader of a template wants to know; it stands
 * in values, and in the logical id of the right to read the bundle.
 */
const withoutHashes = (template: unknown): unknown => JSON.parse(JSON.stringify(template).replace(hash, '<hash>'));

describe.each(stageNames)('stage %s', (stage) => {
  const app = synthesizedStage(stage);

  test.each(Object.keys(app.templates))('has %s as it was last agreed', (stack) => {
    expect(withoutHashes(app.templates[stack])).toMatchSnapshot();
  });

  test('needs nothing looked up in an account', () => {
    expect(app.missing).toEqual([]);
  });

  test('is the same byte for byte when it is synthesized again', () => {
    expect(synthesizedStage(stage).files).toEqual(app.files);
  });
});

describe('the validation of templates', () => {
  // The validator tells its findings to the terminal as well, and what it was warned of.
  beforeEach(() => {
    jest.spyOn(process.stderr, 'write').mockReturnValue(true);
    jest.spyOn(console, 'error').mockReturnValue();
  });
  afterEach(() => {
    jest.restoreAllMocks();
  });

  test.each(stageNames)('finds nothing in stage %s', (stage) => {
    expect(() => synthesizedStage(stage, { validate: true })).not.toThrow();
  });

  test('is on, and ends the synthesis when it finds something', () => {
    const broken = () =>
      synthesized(
        (app) => {
          const stack = new Stack(app, 'broken');
          const deadLetterQueue = new CfnQueue(stack, 'DeadLetterQueue');
          const redrivePolicy = { deadLetterTargetArn: deadLetterQueue.attrArn, maxReceiveCount: 5 };
          new CfnQueue(stack, 'Queue', { fifoQueue: true, redrivePolicy });
        },
        { validate: true },
      );
    expect(broken).toThrow("RedrivePolicy: Source queue type 'FIFO' does not match destination queue type 'standard'");
  });
});

describe('a configuration that differs', () => {
  test('reaches the templates', () => {
    const { stage, ...candidate } = structuredClone(configurationOf('dev'));
    candidate.queues.ledger.visibilityTimeoutSeconds = 900;
    candidate.fleets.orders.maximum = 5;
    // Large enough for that beside any number of workloads: the class of dev serves seven instances in all.
    candidate.database.instanceClass = 'db.m7g.large';
    candidate.database.allocatedStorageGib = 40;
    candidate.queueRemovalPolicy = 'retain';

    const { resources } = synthesized((app) => {
      buildApp(app, checkedConfiguration(stage, candidate));
    });
    const values = (type: string, id: string, property: string) =>
      resources
        .filter((resource) => resource.type === type && resource.id.startsWith(id))
        .map(({ properties }) => properties[property]);
    expect(values('AWS::SQS::Queue', 'Orders', 'VisibilityTimeout')).toEqual([60, 60]);
    expect(values('AWS::SQS::Queue', 'Ledger', 'VisibilityTimeout')).toEqual([900, 900]);
    expect(values('AWS::AutoScaling::AutoScalingGroup', 'OrdersFleet', 'MaxSize')).toEqual(['5']);
    expect(values('AWS::AutoScaling::AutoScalingGroup', 'LedgerFleet', 'MaxSize')).toEqual(['2']);
    expect(values('AWS::RDS::DBInstance', '', 'AllocatedStorage')).toEqual(['40']);
  });
});
