/**
 * Loaded before a measured process's own program (`node --import`): answers SIGUSR2 with what the process has used.
 *
 * Asked and not told by the clock, so that between two questions nothing runs that is not the program's own.
 */
import { report } from './reports.ts';

process.on('SIGUSR2', () => {
  const { user, system } = process.cpuUsage();
  const { rss: residentBytes, heapUsed: heapUsedBytes } = process.memoryUsage();
  globalThis.gc?.();
  report({
    name: 'usage',
    cpuSeconds: (user + system) / 1e6,
    residentBytes,
    heapUsedBytes,
    heapUsedAfterCollectionBytes: globalThis.gc === undefined ? null : process.memoryUsage().heapUsed,
  });
});
// Nothing of a bench outlives it; and the channel alone must not keep a program that is done.
process.on('disconnect', () => process.exit());
process.channel?.unref();
report({ name: 'ready' });
