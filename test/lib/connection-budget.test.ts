/** The database has a connection for every one that the fleets of a stage may open. */
import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { checkedConfiguration, configurationOf, stageNames } from '../../lib/config.ts';
import {
  connectionProblem,
  fleetConnections,
  POOL_CONNECTIONS_MAX,
  PROCESSES_PER_INSTANCE,
  REFRESH_OVERSHOOT,
  RESERVED_CONNECTIONS,
  servedConnections,
} from '../../lib/constructs/connection-budget.ts';
import { CONNECTIONS_MAX } from '../../workers/store/connection.ts';
import { synthesizedStage } from './synthesized.ts';

const fleetsOf = (orders: number, ledger: number) => ({ orders: { maximum: orders }, ledger: { maximum: ledger } });

describe('fleets that the database cannot serve', () => {
  test('are refused with the numbers and what is allowed', () => {
    expect(connectionProblem('db.t4g.micro', fleetsOf(10, 4))).toBe(
      'a class that serves 132 connections ' +
        '(orders 10 instances × 2 in a refresh × 1 process × 4 connections = 80, ' +
        'ledger 4 instances × 2 in a refresh × 1 process × 4 connections = 32, in reserve 20), ' +
        'or fleets with a maximum of 7 instances together; with 1 GiB it serves 78',
    );
  });

  test.each([
    [4, 3, undefined],
    [4, 4, expect.stringContaining('a maximum of 7 instances together')],
  ])('are those beyond what the error allows, and no others: %p and %p', (orders, ledger, expected) => {
    expect(connectionProblem('db.t4g.micro', fleetsOf(orders, ledger))).toEqual(expected);
  });

  test('are refused when the memory of the class is not known', () => {
    expect(connectionProblem('db.t9g.micro', fleetsOf(2, 2))).toBe(
      'a class whose memory stands in lib/constructs/database-class-memory.ts; add it there',
    );
  });

  test('are an error of the stage that has them', () => {
    const { stage, ...candidate } = structuredClone(configurationOf('prod'));
    candidate.database.instanceClass = 'db.t4g.micro';
    const problem = connectionProblem('db.t4g.micro', candidate.fleets);
    expect(problem).toBeDefined();
    expect(() => checkedConfiguration(stage, candidate)).toThrow(
      `stage prod: database.instanceClass is "db.t4g.micro"; allowed: ${problem}`,
    );
  });
});

describe('what a class serves', () => {
  test.each([
    ['db.t4g.micro', 78],
    ['db.t4g.small', 157],
    ['db.m7g.large', 630],
    ['db.r8g.48xlarge', 5000],
    ['db.m7i.large', undefined],
    ['large', undefined],
  ])('%s: %p connections', (instanceClass, connections) => {
    expect(servedConnections(instanceClass)).toBe(connections);
  });

  test('stays below what RDS was seen to give: 198 on 2 GiB, 413 on 4 GiB', () => {
    expect(servedConnections('db.t4g.small')).toBeLessThan(198);
    expect(servedConnections('db.t4g.medium')).toBeLessThan(413);
  });
});

test('the pool of a worker is as large as the budget has it', () => {
  expect(POOL_CONNECTIONS_MAX).toBe(CONNECTIONS_MAX);
});

const groupSchema = z.object({ MaxSize: z.coerce.number() });
const refreshSchema = z.object({
  UpdatePolicy: z.object({
    AutoScalingInstanceRefresh: z.object({ Preferences: z.object({ MaxHealthyPercentage: z.number() }) }),
  }),
});

describe.each(stageNames)('the templates of stage %s', (stage) => {
  const { resources, templates } = synthesizedStage(stage);
  const of = (type: string) => resources.filter((resource) => resource.type === type);

  test('have a database that serves every fleet at its maximum, in a refresh', () => {
    const groups = of('AWS::AutoScaling::AutoScalingGroup').map(({ properties }) => groupSchema.parse(properties));
    const needed = groups.reduce((sum, { MaxSize }) => sum + fleetConnections(MaxSize), RESERVED_CONNECTIONS);
    expect(groups.length).toBeGreaterThan(0);
    for (const { properties } of of('AWS::RDS::DBInstance')) {
      expect(servedConnections(String(properties.DBInstanceClass))).toBeGreaterThanOrEqual(needed);
    }
  });

  test('let no refresh go beyond what is counted', () => {
    const percentages = Object.values(templates).flatMap(({ Resources }) =>
      Object.values(Resources)
        .filter(({ Type }) => Type === 'AWS::AutoScaling::AutoScalingGroup')
        .map(
          (group) =>
            refreshSchema.parse(group).UpdatePolicy.AutoScalingInstanceRefresh.Preferences.MaxHealthyPercentage,
        ),
    );
    expect(Math.max(...percentages)).toBeLessThanOrEqual(REFRESH_OVERSHOOT * 100);
  });

  test.each(of('AWS::EC2::LaunchTemplate'))(
    'run as many processes on an instance as are counted: $id',
    ({ properties }) => {
      expect(JSON.stringify(properties).split('ExecStart=/usr/bin/node-24 ').length - 1).toBe(PROCESSES_PER_INSTANCE);
    },
  );
});
