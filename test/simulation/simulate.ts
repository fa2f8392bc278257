/**
 * Runs many schedules and says what was seen.
 *
 *   npm run simulate -- --schedules 100000 --seed 1
 *   npm run simulate -- --schedules 1 --seed 4711 --trace     one schedule again, with everything that happened
 *
 * Ends with 1 when an invariant was violated, and prints the seeds.
 */
import { parseArgs } from 'node:util';
import { runOnAllCores } from './processes.ts';
import { addReport, emptyReport, type Report } from './tally.ts';

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    trace: { type: 'boolean', default: false },
  },
});
const order = { schedules: wholeNumber('schedules', 1), firstSeed: wholeNumber('seed', 0), traced: values.trace };
const startedMs = performance.now();
const soFar = emptyReport();
const report = await runOnAllCores(order, (part) => {
  addReport(soFar, part);
  const line = `${soFar.schedules} of ${order.schedules} schedules, ${rate(soFar)} a second, ${soFar.failures.length} failed`;
  if (process.stderr.isTTY) process.stderr.write(`\r${line}`);
});
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');

for (const [what, times] of Object.entries(report.coverage).toSorted(([one], [other]) => one.localeCompare(other))) {
  console.log(`${String(times).padStart(12)}  ${what}`);
}
const virtualHours = Math.round(report.virtualMs / 3_600_000);
console.log(
  `${report.schedules} schedules, ${report.events} events, ${virtualHours} h of virtual time, ${rate(report)} schedules a second`,
);
for (const { seed, violations, configuration } of report.failures) {
  console.log(`failed: --seed ${seed} --schedules 1`);
  for (const { invariant, detail } of violations) console.log(`  ${invariant}: ${detail}`);
  console.log(`  ${JSON.stringify(configuration)}`);
}
console.log(report.failures.length === 0 ? 'every invariant held' : 'an invariant was violated');
process.exitCode = report.failures.length === 0 ? 0 : 1;

function rate({ schedules }: Report): number {
  return Math.round((schedules / (performance.now() - startedMs)) * 1000);
}

function wholeNumber(name: 'schedules' | 'seed', least: number): number {
  const value = Number(values[name]);
  if (!Number.isSafeInteger(value) || value < least) {
    throw new Error(`--${name} is ${values[name]}; a whole number from ${least} on is needed`);
  }
  return value;
}
