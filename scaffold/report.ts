/** What `sluice add worker` tells: the files, and what to do next. */
import { table, wrapped } from '../local/eighty-columns.ts';
import type { AddedFile } from './add-worker.ts';

export interface AddedWorker {
  readonly worker: string;
  readonly fifo: boolean;
  readonly dryRun: boolean;
  readonly files: readonly AddedFile[];
  readonly next: readonly NextStep[];
}

export interface NextStep {
  readonly what: string;
  readonly command: string;
}

export function nextSteps(name: string, fifo: boolean, snapshots: boolean): NextStep[] {
  const payload = `'{"id": "1", "note": "first"}'`;
  const group = fifo ? ' --group a' : '';
  return [
    { what: 'Run its test', command: `npm test -- test/workers/${name}` },
    ...(snapshots
      ? [{ what: 'See what becomes of the templates', command: 'git diff --patience' }]
      : [
          { what: 'Look at what becomes of the templates, and agree', command: 'npm test -- test/lib/app -u' },
          { what: 'Write down what it costs', command: 'npm run stages' },
        ]),
    { what: 'Run it here', command: 'npm start' },
    {
      what: 'Send it a message, from another terminal',
      command: `npm run sluice -- send --local --queue ${name}${group} --payload ${payload}`,
    },
    { what: 'Say what its messages are', command: `$EDITOR workers/${name}/message.ts` },
  ];
}

export function addedText({ worker, fifo, dryRun, files, next }: AddedWorker): string {
  const head = `${dryRun ? 'Would add' : 'Added'} the worker ${worker} with a ${fifo ? 'FIFO' : 'standard'} queue`;
  const list = table([
    { head: 'what', align: 'left', cells: files.map(({ what }) => what) },
    { head: 'file', align: 'left', cells: files.map(({ path }) => path) },
    { head: 'is', align: 'left', cells: files.map(({ change }) => change) },
  ]);
  const settings = wrapped(
    'It has the settings that are usual in each stage; its own go into lib/config.ts. Its rows are in ' +
      `${worker.replaceAll('-', '_')}_entries.`,
  );
  // A command stays in one piece, to be copied.
  const steps = next.map(({ what, command }) => `${what}:\n  ${command}`);
  return [head, '', list, '', settings, ...(dryRun ? [] : ['', ...steps])].join('\n');
}
