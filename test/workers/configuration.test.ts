import { describe, expect, test } from '@jest/globals';
import { readConfiguration } from '../../workers/configuration.ts';

const queues = {
  QUEUE_URL: 'https://sqs.eu-central-1.amazonaws.com/000000000000/work',
  DEAD_LETTER_QUEUE_URL: 'https://sqs.eu-central-1.amazonaws.com/000000000000/work-dlq',
};
const host = { PGHOST: 'db.example.test' };

describe('the environment of a worker', () => {
  test('names its queues and its database; everything else has a default', () => {
    expect(readConfiguration({ ...queues, ...host })).toEqual({
      queueUrl: queues.QUEUE_URL,
      deadLetterQueueUrl: queues.DEAD_LETTER_QUEUE_URL,
      region: undefined,
      database: {
        name: 'host',
        host: 'db.example.test',
        port: 5432,
        database: 'sluice',
        user: 'sluice_worker',
        password: expect.any(Function),
        certificateFile: undefined,
      },
      logLevel: 'info',
      drainSeconds: 60,
      metricsIntervalSeconds: 60,
      livenessFile: undefined,
      stage: undefined,
    });
  });

  test('has PostgreSQL’s own variables honoured', () => {
    const variables = { PGPORT: '5433', PGDATABASE: 'shop', PGUSER: 'worker', PGSSLMODE: 'verify-full' };
    expect(readConfiguration({ ...queues, ...host, ...variables }).database).toMatchObject({
      port: 5433,
      database: 'shop',
      user: 'worker',
    });
  });

  test('may say all of the database in DATABASE_URL, which wins', () => {
    const url = 'postgres://sluice@127.0.0.1/sluice';
    expect(readConfiguration({ ...queues, ...host, PGSSLMODE: 'prefer', DATABASE_URL: url }).database).toEqual({
      name: 'url',
      url,
    });
  });

  test.each([
    [{ QUEUE_URL: undefined }, /incomplete or wrong: QUEUE_URL is not set$/],
    [
      { QUEUE_URL: undefined, DEAD_LETTER_QUEUE_URL: undefined },
      /QUEUE_URL is not set; DEAD_LETTER_QUEUE_URL is not set$/,
    ],
    [{ QUEUE_URL: undefined, PGHOST: undefined }, /QUEUE_URL is not set; neither DATABASE_URL nor PGHOST is set$/],
    [{ QUEUE_URL: 'work' }, /QUEUE_URL: Invalid URL$/],
    [{ QUEUE_URL: 'ftp://work' }, /QUEUE_URL: Invalid URL$/],
    [{ DATABASE_URL: 'mysql://127.0.0.1/shop' }, /DATABASE_URL: Invalid URL$/],
    [{ DRAIN_SECONDS: '0' }, /DRAIN_SECONDS: Too small/],
    [{ LOG_LEVEL: 'loud' }, /LOG_LEVEL: Invalid option/],
    [{ PGHOST: undefined }, /incomplete or wrong: neither DATABASE_URL nor PGHOST is set$/],
    [{ PGSSLMODE: 'require' }, /PGSSLMODE is require; with PGHOST only verify-full is allowed/],
  ])('is refused with %j', (change, reason) => {
    expect(() => readConfiguration({ ...queues, ...host, ...change })).toThrow(reason);
  });
});
