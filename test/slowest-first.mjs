/**
 * The order of the test files: those that take longest first, so that none of them is left alone at the end.
 *
 * Jest knows how long a file took the last time, and on a fresh clone only how large it is.
 */
import TestSequencer from '@jest/test-sequencer';

/** More than ten seconds each on two cores. */
const SLOWEST = [
  'e2e/interruptions',
  'e2e/other-servers',
  'simulation/simulation',
  'prove/prove',
  'workers/malformed-bodies',
  'workers/worker',
  'e2e/command-line',
  'local/machine/embedded-postgres',
  'e2e/whole-file',
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
