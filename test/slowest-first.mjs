/**
 * The order of the test files: those that take longest first, so that none of them is left alone at the end.
 *
 * Jest knows how long a file took the last time, and on a fresh clone only how large it is.
 */
import TestSequencer from '@jest/test-sequencer';

/** Ten seconds or more each on two cores. */
const SLOWEST = [
  'e2e/interruptions',
  'e2e/other-servers',
  'e2e/troubled-queues',
  'simulation/simulation',
  'workers/migration/handler',
  'workers/instance/leaving',
  'e2e/add-worker',
  'e2e/command-line',
  'workers/instance/under-systemd',
  'prove/prove',
  'lib/templates',
  'workers/store/connection',
  'workers/store/renewed-pool',
  'workers/malformed-bodies',
  'workers/worker',
  'workers/migration/answer',
  'conformance/conformance',
  'e2e/whole-file',
  'e2e/send-local',
  'local/machine/embedded-postgres',
  'workers/upkeep',
].map((name) => `/test/${name}.test.ts`);

export default class SlowestFirst extends TestSequencer {
  sort(tests) {
    return super.sort(tests).toSorted((one, other) => placeOf(one) - placeOf(other));
  }
}

function placeOf({ path }) {
  const place = SLOWEST.findIndex((name) => path.endsWith(name));
  return place === -1 ? SLOWEST.length : place;
}
