/** The reaper proper: started by the shell of reaper.ts when the run that it guards has died. */
import { clearRun } from './run-folder.ts';

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => undefined);

const path = process.argv[2];
if (path === undefined) throw new Error('reaper-process.ts is started by Sluice itself, with a run folder.');
await clearRun(path);
