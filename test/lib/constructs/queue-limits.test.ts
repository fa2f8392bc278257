/** That what the templates allow a queue is what a worker demands of it: the numbers are the runtime's own. */
import { describe, expect, test } from '@jest/globals';
import {
  MESSAGE_SIZE_MAX_BYTES,
  RECEIVE_DEADLINE_SECONDS,
  RECEIVE_WAIT_SECONDS,
  RECEIVES_MIN,
  VISIBILITY_TIMEOUT_MIN_SECONDS,
} from '../../../lib/constructs/queue-limits.ts';
import {
  CALL_DEADLINE_MS,
  checkFacts,
  LONG_POLL_SECONDS,
  MESSAGE_BYTES_MAX,
  RECEIVE_DEADLINE_MS,
} from '../../../workers/runtime/queue-client.ts';

describe('the limits of a queue', () => {
  const least = { visibilityTimeoutSeconds: VISIBILITY_TIMEOUT_MIN_SECONDS, maxReceiveCount: RECEIVES_MIN };
  const facts = { ...least, fifo: false, messageBytesMax: MESSAGE_SIZE_MAX_BYTES, createdTimestamp: '1700000000' };

  test('are what a worker still takes', () => {
    expect(() => checkFacts(facts, 'work')).not.toThrow();
  });

  test.each(Object.entries(least))('are no lower in %s than a worker takes', (field, value) => {
    expect(() => checkFacts({ ...facts, [field]: value - 1 }, 'work')).toThrow('cannot start');
  });

  test('are the runtime’s own where it has them', () => {
    expect(RECEIVE_DEADLINE_SECONDS * 1000).toBe(RECEIVE_DEADLINE_MS);
    expect(RECEIVE_WAIT_SECONDS).toBe(LONG_POLL_SECONDS);
    expect(MESSAGE_SIZE_MAX_BYTES).toBe(MESSAGE_BYTES_MAX);
  });

  test('leave half a lease for a receive that comes late, and half for two extensions that hang and a third', () => {
    const halfMs = (VISIBILITY_TIMEOUT_MIN_SECONDS * 1000) / 2;
    expect(halfMs).toBeGreaterThanOrEqual(RECEIVE_DEADLINE_MS);
    expect(halfMs).toBeGreaterThanOrEqual(3 * CALL_DEADLINE_MS);
    expect(VISIBILITY_TIMEOUT_MIN_SECONDS).toBeGreaterThanOrEqual(3 * LONG_POLL_SECONDS);
  });
});
