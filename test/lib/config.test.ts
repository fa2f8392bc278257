import { describe, expect, test } from '@jest/globals';
import { configurationOf, stageNames } from '../../lib/config.ts';
import { ConfigurationError, checkedConfiguration } from '../../lib/settings.ts';

/** The dev configuration with one field set to something else. */
function devWith(field: string, value: unknown): unknown {
  const { stage: _, ...candidate } = structuredClone(configurationOf('dev'));
  const path = field.split('.');
  let owner: object = candidate;
  for (const key of path.slice(0, -1)) owner = Reflect.get(owner, key);
  Reflect.set(owner, path.at(-1)!, value);
  return candidate;
}

function problemsOf(candidate: unknown): string {
  try {
    checkedConfiguration('dev', candidate);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.message;
    throw error;
  }
  return 'none';
}

describe('a configuration', () => {
  test.each(stageNames)('of stage %s is valid', (stage) => {
    expect(configurationOf(stage).stage).toBe(stage);
  });

  test.each([
    ['queues.orders.visibilityTimeoutSeconds', 30, 'is 30; allowed: 60 to 43200'],
    ['queues.orders.visibilityTimeoutSeconds', 43_201, 'is 43201; allowed: 60 to 43200'],
    ['queues.orders.visibilityTimeoutSeconds', 60.5, 'is 60.5; allowed: a whole number, 60 to 43200'],
    ['queues.ledger.visibilityTimeoutSeconds', '60', 'is "60"; allowed: a whole number, 60 to 43200'],
    ['queues.ledger.visibilityTimeoutSeconds', undefined, 'is missing; allowed: a whole number, 60 to 43200'],
    ['queues.orders.retentionDays', 0, 'is 0; allowed: 1 to 14'],
    ['queues.orders.deadLetterRetentionDays', 15, 'is 15; allowed: 1 to 14'],
    ['queues.orders.deadLetterRetentionDays', 3, 'is 3; allowed: 4 (retentionDays) to 14'],
    ['queues.orders.maxReceiveCount', 3, 'is 3; allowed: 4 to 1000'],
    ['queues.orders.maxReceiveCount', 1_001, 'is 1001; allowed: 4 to 1000'],
    ['queues.orders.maximumMessageSizeBytes', 1_048_577, 'is 1048577; allowed: 1024 to 1048576'],
    ['queues.orders.dataKeyReuseMinutes', 1441, 'is 1441; allowed: 1 to 1440'],
    ['queues.orders.maximumMessageSizeBytes', 1_023, 'is 1023; allowed: 1024 to 1048576'],
    ['queues.orders.deliveryDelaySeconds', 901, 'is 901; allowed: 0 to 900'],
    ['queues.ledger.highThroughput', 1, 'is 1; allowed: true or false'],
    ['queues.ledger.contentBasedDeduplication', undefined, 'is missing; allowed: true or false'],
    ['fleets.orders.instanceType', 'm7i.large', 'is "m7i.large"; allowed: a Graviton instance type such as t4g.micro'],
    [
      'fleets.orders.instanceType',
      'z9g.banana',
      'is "z9g.banana"; allowed: a Graviton instance type such as t4g.micro, of',
    ],
    [
      'fleets.orders.instanceType',
      'm7g.7xlarge',
      'is "m7g.7xlarge"; allowed: a Graviton instance type such as t4g.micro',
    ],
    [
      'fleets.orders.instanceType',
      't4g.nano',
      'is "t4g.nano"; allowed: a size with at least 768 MiB, such as t4g.micro: it has 512 MiB, and a worker\'s heap alone may take 384',
    ],
    ['fleets.orders.minimum', -1, 'is -1; allowed: 0 to 100'],
    ['fleets.orders.minimum', 3, 'is 3; allowed: 0 to 2 (maximum)'],
    ['fleets.orders.maximum', 0, 'is 0; allowed: 1 to 100'],
    ['fleets.orders.maximum', 101, 'is 101; allowed: 1 to 100'],
    ['fleets.orders.acceptableLatencySeconds', 59, 'is 59; allowed: 60 to 43200'],
    ['fleets.orders.acceptableLatencySeconds', 43_201, 'is 43201; allowed: 60 to 43200'],
    ['fleets.orders.messagesPerSecondPerInstance', 0, 'is 0; allowed: 0.001 to 100000'],
    ['fleets.orders.messagesPerSecondPerInstance', '2683', 'is "2683"; allowed: a number, 0.001 to 100000'],
    ['fleets.ledger.messagesPerSecondPerInstance', 100_001, 'is 100001; allowed: 0.001 to 100000'],
    ['fleets.orders.rootVolumeGib', 4, 'is 4; allowed: 8 to 100'],
    ['fleets.orders.drainSeconds', 10, 'is 10; allowed: 25 to 900'],
    ['fleets.orders.drainSeconds', 121, 'is 121; allowed: 25 to 120 (terminationHookSeconds less 60)'],
    ['fleets.orders.terminationHookSeconds', 84, 'is 84; allowed: 85 to 7200'],
    ['fleets.orders.terminationHookSeconds', 7_201, 'is 7201; allowed: 85 to 7200'],
    ['fleets.orders.spotInstanceTypes.0', 'm7i.large', 'is "m7i.large"; allowed: a Graviton instance type'],
    ['fleets.orders.spotInstanceTypes.0', 't4g.nano', 'is "t4g.nano"; allowed: a size with at least 768 MiB'],
    ['fleets.orders.spotInstanceTypes', 'm7g.large', 'is "m7g.large"; allowed: a list of at most 20'],
    ['fleets.orders.onDemandBase', -1, 'is -1; allowed: 0 to 100'],
    ['fleets.ledger.logLevel', 'loud', 'is "loud"; allowed: one of debug, info, warn, error'],
    ['database.instanceClass', 't4g.micro', 'is "t4g.micro"; allowed: a Graviton instance class such as db.t4g.micro'],
    ['database.instanceNumber', 0, 'is 0; allowed: 1 to 99'],
    ['database.instanceNumber', 100, 'is 100; allowed: 1 to 99'],
    [
      'database.snapshotIdentifier',
      '',
      'is ""; allowed: the name or the ARN of a snapshot of RDS, such as sluice-prod-before-the-fault',
    ],
    ['database.snapshotIdentifier', 'two--hyphens', 'is "two--hyphens"; allowed: the name or the ARN of a snapshot'],
    ['database.allocatedStorageGib', 10, 'is 10; allowed: 20 to 65536'],
    ['database.maxAllocatedStorageGib', 21, 'is 21; allowed: 22 to 65536'],
    ['database.multiAz', 'yes', 'is "yes"; allowed: true or false'],
    ['database.backupRetentionDays', 36, 'is 36; allowed: 1 to 35'],
    [
      'database.backupWindow',
      '2:00-3:00',
      'is "2:00-3:00"; allowed: hours of the day in UTC, at least 30 minutes, such',
    ],
    ['database.backupWindow', '02:00-02:29', 'is "02:00-02:29"; allowed: hours of the day in UTC, at least 30 minutes'],
    ['database.backupWindow', undefined, 'is missing; allowed: hours of the day in UTC'],
    [
      'database.maintenanceWindow',
      'sun:03:30',
      'is "sun:03:30"; allowed: hours of the week in UTC, 30 minutes to a day',
    ],
    [
      'database.maintenanceWindow',
      'sun:03:30-tue:03:30',
      'is "sun:03:30-tue:03:30"; allowed: hours of the week in UTC',
    ],
    ['database.insightsMode', 'off', 'is "off"; allowed: one of standard, advanced'],
    ['database.monitoringIntervalSeconds', 2, 'is 2; allowed: one of 0, 1, 5, 10, 15, 30, 60'],
    [
      'database.certificateAuthority',
      'rds-ca-2019',
      'is "rds-ca-2019"; allowed: one of rds-ca-rsa2048-g1, rds-ca-rsa4096',
    ],
    ['database.logRetentionDays', 8, 'is 8; allowed: one of 1, 3, 5, 7, 14, 30, 60, 90,'],
    ['database.removalPolicy', 'keep', 'is "keep"; allowed: one of destroy, snapshot, retain'],
    ['network.cidr', '8.8.0.0/16', 'is "8.8.0.0/16"; allowed: a private IPv4 range with a prefix of /16 to /22'],
    ['network.cidr', '10.999.0.0/16', 'is "10.999.0.0/16"; allowed: a private IPv4 range with a prefix of /16 to /22'],
    ['network.availabilityZones', 3, 'is 3; allowed: 2'],
    ['network.egress', 'internet', 'is "internet"; allowed: one of endpoints, nat'],
    ['network.endpointZones', 3, 'is 3; allowed: 1 to 2'],
    ['network.flowLogRetentionDays', 2, 'is 2; allowed: one of 1, 3, 5, 7, 14, 30, 60, 90,'],
    ['watching.ageObjectiveSeconds', 59, 'is 59; allowed: 60 to 86400'],
    ['watching.workerLogRetentionDays', 8, 'is 8; allowed: one of 1, 3, 5, 7, 14, 30, 60, 90,'],
    ['watching.alarmEmails', 'one@example.com', 'is "one@example.com"; allowed: a list of e-mail addresses'],
    ['watching.alarmEmails.0', 'nobody', 'is "nobody"; allowed: an e-mail address'],
    ['watching.runbook', 'https://example.com/#top', 'is "https://example.com/#top"; allowed: an address or a path'],
    ['terminationProtection', 'yes', 'is "yes"; allowed: true or false'],
    ['queueRemovalPolicy', 'snapshot', 'is "snapshot"; allowed: one of destroy, retain'],
    ['database', 5, 'is 5; allowed: settings instanceNumber, snapshotIdentifier'],
  ])('whose %s is %p is refused with field, value and what is allowed', (field, value, problem) => {
    const expected = `stage dev: ${field} ${problem}`;
    expect(problemsOf(devWith(field, value)).slice(0, expected.length)).toBe(expected);
  });

  test.each([
    ['producerAccountIds', '1234', '12 digits, such as 111122223333'],
    ['producerOrganizationIds', 'o-1', 'o- and 10 to 32 lower-case letters and digits, such as o-a1b2c3d4e5'],
  ])('whose %s hold %p is refused with its place', (field, id, allowed) => {
    const good = field === 'producerAccountIds' ? '111122223333' : 'o-a1b2c3d4e5';
    expect(problemsOf(devWith(`queues.orders.${field}`, [good]))).toBe('none');
    expect(problemsOf(devWith(`queues.orders.${field}`, [good, id]))).toBe(
      `stage dev: queues.orders.${field}.1 is "${id}"; allowed: ${allowed}`,
    );
    expect(problemsOf(devWith(`queues.orders.${field}`, Array(41).fill(good)))).toMatch(
      new RegExp(`^stage dev: queues.orders.${field} is .*; allowed: a list of at most 40$`),
    );
  });

  test('whose standard queue has a setting of FIFO queues is refused', () => {
    expect(problemsOf(devWith('queues.orders.contentBasedDeduplication', true))).toMatch(
      /^stage dev: queues.orders.contentBasedDeduplication is not a setting; allowed: visibilityTimeoutSeconds, /,
    );
  });

  test('whose fleet works off less than one message within its latency is refused', () => {
    expect(problemsOf(devWith('fleets.orders.messagesPerSecondPerInstance', 0.01))).toBe(
      "stage dev: fleets.orders.acceptableLatencySeconds is 60; allowed: at least one message's time, 100 at messagesPerSecondPerInstance 0.01",
    );
  });

  test('whose fleets may let messages wait as long as its age objective is refused, with every fleet', () => {
    expect(problemsOf(devWith('watching.ageObjectiveSeconds', 60))).toBe(
      'stage dev: watching.ageObjectiveSeconds is 60; allowed: 61 to 86400, above acceptableLatencySeconds of fleets.orders, 60',
    );
    expect(problemsOf(devWith('watching.ageObjectiveSeconds', 61))).toBe('none');
    expect(problemsOf(devWith('fleets.ledger.acceptableLatencySeconds', 1800))).toBe(
      'stage dev: watching.ageObjectiveSeconds is 1800; allowed: 1801 to 86400, above acceptableLatencySeconds of fleets.ledger, 1800',
    );
  });

  test('whose messages are gone before its age objective is over is refused', () => {
    const candidate = devWith('watching.ageObjectiveSeconds', 86_400);
    expect(problemsOf(candidate)).toBe('none');
    Reflect.set(Reflect.get(Reflect.get(Object(candidate), 'queues'), 'ledger'), 'retentionDays', 1);
    expect(problemsOf(candidate)).toBe(
      'stage dev: watching.ageObjectiveSeconds is 86400; allowed: 61 to 86399, below retentionDays of queues.ledger, 1',
    );
  });

  test.each([
    ['watching.alarmEmails', 'one@example.com'],
    ['queues.orders.producerAccountIds', '111122223333'],
    ['queues.ledger.producerOrganizationIds', 'o-a1b2c3d4e5'],
  ])('that names somebody twice in %s is refused', (field, somebody) => {
    expect(problemsOf(devWith(field, [somebody]))).toBe('none');
    expect(problemsOf(devWith(field, [somebody, somebody]))).toBe(
      `stage dev: ${field} is ["${somebody}","${somebody}"]; allowed: each of them once`,
    );
  });

  test.each([
    ['10.60.1.0/16', '10.60.0.0/16'],
    ['192.168.0.1/22', '192.168.0.0/22'],
    ['172.16.255.0/20', '172.16.240.0/20'],
  ])('whose network.cidr %s begins in the middle of its range is refused with the beginning', (cidr, beginning) => {
    expect(problemsOf(devWith('network.cidr', cidr))).toBe(
      `stage dev: network.cidr is "${cidr}"; allowed: ${beginning}, which is where that range begins`,
    );
    expect(problemsOf(devWith('network.cidr', beginning))).toBe('none');
  });

  test('whose Spot instances would be gone before their drain is over is refused', () => {
    const { stage: _, ...dev } = configurationOf('dev');
    const orders = { ...dev.fleets.orders, drainSeconds: 101, spotInstanceTypes: ['t4g.small'] };
    expect(problemsOf({ ...dev, fleets: { ...dev.fleets, orders } })).toBe(
      'stage dev: fleets.orders.drainSeconds is 101; allowed: 25 to 100 (what a Spot notice of two minutes leaves)',
    );
  });

  test('has an age objective for every latency that it may have', () => {
    const candidate = devWith('fleets.orders.acceptableLatencySeconds', 43_200);
    expect(problemsOf(candidate)).toBe(
      'stage dev: watching.ageObjectiveSeconds is 1800; allowed: 43201 to 86400, above acceptableLatencySeconds of fleets.orders, 43200',
    );
    Reflect.set(Reflect.get(Object(candidate), 'watching'), 'ageObjectiveSeconds', 43_201);
    expect(problemsOf(candidate)).toBe('none');
  });

  test('whose age objective is too short for one fleet and too long for no queue is refused with both ends', () => {
    const candidate = devWith('fleets.orders.acceptableLatencySeconds', 1800);
    Reflect.set(Reflect.get(Reflect.get(Object(candidate), 'queues'), 'ledger'), 'retentionDays', 1);
    expect(problemsOf(candidate)).toBe(
      'stage dev: watching.ageObjectiveSeconds is 1800; allowed: 1801 to 86399, above acceptableLatencySeconds of fleets.orders, 1800',
    );
  });

  test('whose messages are all stored late, because they are held back, is refused', () => {
    const candidate = devWith('queues.ledger.deliveryDelaySeconds', 900);
    expect(problemsOf(candidate)).toBe('none');
    Reflect.set(Reflect.get(Object(candidate), 'watching'), 'ageObjectiveSeconds', 600);
    expect(problemsOf(candidate)).toBe(
      'stage dev: queues.ledger.deliveryDelaySeconds is 900; allowed: 0 to 539 (ageObjectiveSeconds, 600, less acceptableLatencySeconds, 60)',
    );
    Reflect.set(Reflect.get(Reflect.get(Object(candidate), 'queues'), 'ledger'), 'deliveryDelaySeconds', 539);
    expect(problemsOf(candidate)).toBe('none');
  });

  test.each([
    [['t4g.small', 't4g.small'], 'each of them once'],
    [['t4g.small', 't4g.micro'], 'types other than instanceType, t4g.micro'],
  ])('whose types for Spot are %p, beside t4g.micro, is refused', (types, allowed) => {
    expect(problemsOf(devWith('fleets.orders.spotInstanceTypes', ['t4g.small']))).toBe('none');
    expect(problemsOf(devWith('fleets.orders.spotInstanceTypes', types))).toBe(
      `stage dev: fleets.orders.spotInstanceTypes is ${JSON.stringify(types)}; allowed: ${allowed}`,
    );
  });

  test.each([0, 2])('that keeps %p instances on demand, of a fleet that has no others, is refused', (onDemandBase) => {
    const candidate = devWith('fleets.orders.onDemandBase', onDemandBase);
    expect(problemsOf(candidate)).toBe(
      `stage dev: fleets.orders.onDemandBase is ${onDemandBase}; allowed: 1, unless there are spotInstanceTypes: without them all instances are on demand`,
    );
    Reflect.set(Reflect.get(Reflect.get(Object(candidate), 'fleets'), 'orders'), 'spotInstanceTypes', ['t4g.small']);
    expect(problemsOf(candidate)).toBe('none');
  });

  test.each(['t4g.micro', 'm7g.medium', 'c8g.xlarge', 'r8gd.48xlarge', 'c7g.metal', 'm8g.metal-24xl', 'im4gn.large'])(
    'whose instances are %s is valid',
    (type) => {
      expect(problemsOf(devWith('fleets.orders.instanceType', type))).toBe('none');
    },
  );

  test('whose fleet may be empty is valid', () => {
    expect(problemsOf(devWith('fleets.orders.minimum', 0))).toBe('none');
  });

  test('whose database could grow by less than a tenth is refused', () => {
    expect(problemsOf(devWith('database.allocatedStorageGib', 48))).toBe(
      'stage dev: database.maxAllocatedStorageGib is 50; allowed: 53 (a tenth above allocatedStorageGib) to 65536',
    );
  });

  test.each([
    ['mon:01:00-mon:02:00', 'none'],
    ['mon:03:00-mon:04:00', 'none'],
    ['mon:01:00-mon:02:01', 'refused'],
    ['mon:02:59-mon:04:00', 'refused'],
    ['wed:02:15-wed:02:45', 'refused'],
    ['sat:23:30-sun:02:30', 'refused'],
  ])('whose maintenance window is %s, with a backup from 02:00 to 03:00: %s', (window, verdict) => {
    const problem = `stage dev: database.maintenanceWindow is "${window}"; allowed: hours that do not meet the backupWindow, 02:00-03:00`;
    expect(problemsOf(devWith('database.maintenanceWindow', window))).toBe(verdict === 'none' ? 'none' : problem);
  });

  test.each([
    ['23:30-00:30', 'sat:23:00-sat:23:45'],
    ['23:30-00:30', 'sun:00:15-sun:01:00'],
  ])('whose windows %s and %s meet around midnight is refused', (backupWindow, maintenanceWindow) => {
    const candidate = devWith('database.backupWindow', backupWindow);
    Reflect.set(Object(Reflect.get(Object(candidate), 'database')), 'maintenanceWindow', maintenanceWindow);
    expect(problemsOf(candidate)).toContain('hours that do not meet the backupWindow, 23:30-00:30');
  });

  test('with a setting that does not exist is refused with those that do', () => {
    expect(problemsOf(devWith('network.endpointZone', 1))).toBe(
      'stage dev: network.endpointZone is not a setting; allowed: cidr, availabilityZones, flowLogRetentionDays, egress, endpointZones',
    );
  });

  test('with the settings of endpoints and those of NAT at once is refused', () => {
    expect(problemsOf(devWith('network.natGateways', 1))).toMatch(
      /^stage dev: network.natGateways is not a setting; allowed: .* endpointZones$/,
    );
    const nat = devWith('network.egress', 'nat');
    expect(problemsOf(nat)).toBe(
      [
        'stage dev: network.natGateways is missing; allowed: a whole number, 1 to 2',
        'stage dev: network.endpointZones is not a setting; allowed: cidr, availabilityZones, flowLogRetentionDays, egress, natGateways',
      ].join('\n'),
    );
  });

  test.each([
    'sluice-prod-before-the-fault',
    'rds:sluice-prod-2026-11-27-02-05',
    'arn:aws:rds:us-east-1:111122223333:snapshot:rds:sluice-prod-2026-11-27-02-05',
  ])('may begin its database with the snapshot %s', (snapshot) => {
    const candidate = devWith('database.snapshotIdentifier', snapshot);
    Reflect.set(Reflect.get(Object(candidate), 'database'), 'instanceNumber', 2);
    expect(problemsOf(candidate)).toBe('none');
  });

  test('that forgets what a restored database began with is refused, or an empty one would take its place', () => {
    expect(problemsOf(devWith('database.instanceNumber', 2))).toBe(
      'stage dev: database.snapshotIdentifier is missing; allowed: the snapshot that database 2 (instanceNumber) began with; without it an empty one would take its place',
    );
  });

  test('with two mistakes is refused with both, a line each', () => {
    const candidate = devWith('network.endpointZones', 9);
    Reflect.set(Object(candidate), 'queueRemovalPolicy', 'burn');
    expect(problemsOf(candidate).split('\n')).toEqual([
      'stage dev: network.endpointZones is 9; allowed: 1 to 2',
      'stage dev: queueRemovalPolicy is "burn"; allowed: one of destroy, retain',
    ]);
  });

  test('that is no object at all is refused', () => {
    expect(problemsOf('dev')).toMatch(/^stage dev: the configuration is "dev"; allowed: settings queues, fleets,/);
  });
});

describe('a stage', () => {
  test.each(['staging', '', 'DEV', 'toString'])('called %p is unknown, and the known ones are named', (stage) => {
    expect(() => configurationOf(stage)).toThrow(
      new ConfigurationError(`stage ${JSON.stringify(stage)} is unknown; allowed: dev, prod`),
    );
  });

  test('cannot have a name that would break the names of its queues', () => {
    expect(() => checkedConfiguration('my-stage', {})).toThrow(
      /stage name "my-stage" cannot be used; allowed: 1 to 20/,
    );
  });
});
