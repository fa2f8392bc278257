import { describe, expect, test } from '@jest/globals';
import { Lazy, Stack } from 'aws-cdk-lib';
import {
  type FleetDescription,
  fleetScript,
  fleetUserData,
  fleetVariables,
} from '../../../lib/constructs/fleet-user-data.ts';
import { synthesized } from '../synthesized.ts';

const fleet: FleetDescription = {
  name: 'orders',
  entry: 'index.mjs',
  bundleBucket: 'bundles',
  bundleKey: 'abc.zip',
  groupName: 'sluice-dev-orders',
  launchHookName: 'ready',
  terminationHookName: 'drain',
  logGroupName: '/sluice/dev/orders',
  minimum: 1,
  maximum: 4,
  drainSeconds: 60,
  environment: { QUEUE_URL: 'https://sqs.example/1/orders', LOG_LEVEL: 'info' },
};

const withValue = (value: string): FleetDescription => ({ ...fleet, environment: { LOG_LEVEL: value } });

describe('the variables of a fleet', () => {
  test('are its facts, then the environment by name', () => {
    expect(Object.entries(fleetVariables(fleet))).toEqual([
      ['FLEET_NAME', 'orders'],
      ['FLEET_ENTRY', 'index.mjs'],
      ['FLEET_BUNDLE_BUCKET', 'bundles'],
      ['FLEET_BUNDLE_KEY', 'abc.zip'],
      ['FLEET_GROUP', 'sluice-dev-orders'],
      ['FLEET_LAUNCH_HOOK', 'ready'],
      ['FLEET_TERMINATION_HOOK', 'drain'],
      ['FLEET_LOG_GROUP', '/sluice/dev/orders'],
      ['FLEET_MINIMUM', '1'],
      ['FLEET_MAXIMUM', '4'],
      ['DRAIN_SECONDS', '60'],
      ['LOG_LEVEL', 'info'],
      ['QUEUE_URL', 'https://sqs.example/1/orders'],
    ]);
  });

  test.each([
    ['a newline', 'info\nPGHOST=elsewhere'],
    ['a single quote', "it's"],
    ['a double quote', 'say "info"'],
    ['a backtick', '`id`'],
    ['a backslash', 'C:\\temp'],
    ['a NUL', 'in\0fo'],
    ['a blank at the end', 'info '],
  ])('refuse %s in a value, and name the fleet, the variable and the value', (_, value) => {
    expect(() => fleetVariables(withValue(value))).toThrow(
      `fleet orders: LOG_LEVEL is ${JSON.stringify(value)}; allowed: no quotes, backslashes, control characters`,
    );
  });

  test('refuse a quote beside what is known only at deployment', () => {
    const token = Lazy.string({ produce: () => 'later' });
    expect(() => fleetVariables(withValue(`https://${token}/"`))).toThrow(/LOG_LEVEL .* allowed: no quotes/);
  });

  test.each(['$HOME', '$(id)', 'a b', '#1', `\${QUEUE_URL}`, 'ärger'])('take %p as it is', (value) => {
    expect(fleetVariables(withValue(value)).LOG_LEVEL).toBe(value);
  });

  test.each(['FLEET_NAME', 'path', 'A-B', '1A', 'A=B', ''])('cannot be called %p in the environment', (name) => {
    expect(() => fleetVariables({ ...fleet, environment: { [name]: 'value' } })).toThrow(
      `fleet orders: ${JSON.stringify(name)} cannot name a variable; allowed: capitals, digits and _`,
    );
  });

  test.each(['Orders', 'a b', '../etc', ''])('cannot belong to a fleet called %p', (name) => {
    expect(() => fleetVariables({ ...fleet, name })).toThrow(/the name cannot be used; allowed: lower-case letters/);
  });
});

describe('the script of a fleet', () => {
  test('holds no value of its own', () => {
    const script = fleetScript(fleet);
    for (const value of ['bundles', 'abc.zip', 'https://sqs.example/1/orders', 'index.mjs']) {
      expect(script).not.toContain(value);
    }
  });

  test('writes one line of environment per variable of the worker, and none of the fleet', () => {
    const lines = fleetScript(fleet).split('\n');
    const start = lines.findIndex((line) => line.startsWith('cat > /etc/sluice/worker.env'));
    const end = lines.indexOf('END_OF_ENVIRONMENT');
    expect(lines.slice(start + 1, end)).toEqual(
      ['DRAIN_SECONDS', 'LOG_LEVEL', 'QUEUE_URL'].map((name) => `${name}=\${${name}}`),
    );
  });

  test('lets a worker end by itself: systemd waits longer than the drain', () => {
    expect(fleetScript(fleet)).toContain('\nTimeoutStopSec=90\n');
    expect(fleetScript({ ...fleet, drainSeconds: 300 })).toContain('\nTimeoutStopSec=330\n');
  });

  test('stays far below the 16 KiB that EC2 takes', () => {
    expect(Buffer.byteLength(fleetScript(fleet))).toBeLessThan(8 * 1024);
  });
});

test('the user data of a fleet is Fn::Sub of its script and its variables', () => {
  let resolved: unknown;
  synthesized((app) => {
    resolved = new Stack(app, 'stack').resolve(fleetUserData(fleet));
  });
  expect(resolved).toEqual({ 'Fn::Sub': [fleetScript(fleet), fleetVariables(fleet)] });
});
