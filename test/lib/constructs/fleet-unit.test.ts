/**
 * The rendered script and units, judged by the programs that judge such things. Where one of them is missing, its tests are
 * skipped and say so: `apt-get install systemd shellcheck` brings both.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { stageNames } from '../../../lib/config.ts';
import { temporaryFolder } from '../../local/machine/machine.ts';
import { synthesizedStage } from '../synthesized.ts';

const userDataSchema = z.object({
  LaunchTemplateData: z.object({
    UserData: z.object({
      'Fn::Base64': z.object({ 'Fn::Sub': z.tuple([z.string(), z.record(z.string(), z.unknown())]) }),
    }),
  }),
});

/** As CloudFormation would render it; what is known only at deployment is a word. */
function rendered([script, variables]: [string, Record<string, unknown>]): string {
  return script.replace(/\$\{(!?)([^}]*)\}/g, (_, literal: string, name: string) => {
    if (literal === '!') return `\${${name}}`;
    const value = variables[name];
    return typeof value === 'string' ? value : `deployed-${name.toLowerCase()}`;
  });
}

const scripts = stageNames.flatMap((stage) =>
  synthesizedStage(stage)
    .resources.filter(({ type }) => type === 'AWS::EC2::LaunchTemplate')
    .map(({ id, properties }) => ({
      name: `${stage} ${id}`,
      text: rendered(userDataSchema.parse(properties).LaunchTemplateData.UserData['Fn::Base64']['Fn::Sub']),
    })),
);

/** The files that a script writes with here-documents, by their paths. */
function filesOf(script: string): Map<string, string> {
  const documents = script.matchAll(/^cat > (\S+) <<'(END_OF_\w+)'\n(.*?)^\2$/gms);
  return new Map([...documents].map(([, path, , text]) => [path!, text!]));
}

const isThere = (program: string) => spawnSync(program, ['--version']).error === undefined;

/** Tests that need `program`; without it they are skipped, aloud. */
function describeWith(program: string, name: string, tests: () => void): void {
  if (isThere(program)) {
    describe(name, tests);
    return;
  }
  process.stderr.write(`SKIPPED: ${name}, because ${program} is not installed (apt-get install systemd shellcheck)\n`);
  describe.skip(`${name} (skipped: ${program} is not installed)`, tests);
}

test('there is a script of every fleet, and it writes the units', () => {
  expect(scripts.length).toBeGreaterThanOrEqual(4);
  for (const { text } of scripts) {
    expect([...filesOf(text).keys()].filter((path) => path.endsWith('.service')).sort()).toEqual([
      '/etc/systemd/system/sluice-give-up.service',
      '/etc/systemd/system/sluice-log-rotation.service',
      '/etc/systemd/system/sluice-worker.service',
    ]);
  }
});

describeWith('shellcheck', 'shellcheck', () => {
  test.each(scripts)('has nothing to say about $name', ({ text }) => {
    const programs = [...filesOf(text)].filter(([, program]) => program.startsWith('#!/bin/bash'));
    expect(programs.map(([path]) => path)).toEqual(['/usr/local/sbin/sluice-give-up']);
    for (const input of [text, ...programs.map(([, program]) => program)]) {
      const { stdout, status } = spawnSync('shellcheck', ['--shell=bash', '-'], { input, encoding: 'utf8' });
      expect(stdout).toBe('');
      expect(status).toBe(0);
    }
  });

  test('would have something to say: an unquoted variable is found', () => {
    const { status } = spawnSync('shellcheck', ['--shell=bash', '-'], { input: '#!/bin/bash\nrm $1\n' });
    expect(status).toBe(1);
  });
});

describeWith('systemd-analyze', 'systemd-analyze', () => {
  let root: string;

  /** A root with the units of `script` and the programs that they start, none of which is run. */
  async function rootOf(script: string, change = (unit: string) => unit): Promise<string[]> {
    root = await temporaryFolder();
    const place = (path: string, text: string, mode = 0o644) => {
      mkdirSync(join(root, dirname(path)), { recursive: true });
      writeFileSync(join(root, path), text);
      chmodSync(join(root, path), mode);
    };
    for (const program of ['/bin/sh', '/usr/bin/node-24', '/usr/sbin/logrotate', '/usr/local/sbin/sluice-give-up']) {
      place(program, '', 0o755);
    }
    for (const target of [
      'network-online.target',
      'multi-user.target',
      'timers.target',
      'sysinit.target',
      'shutdown.target',
      'basic.target',
      'poweroff.target',
    ]) {
      place(`/usr/lib/systemd/system/${target}`, `[Unit]\nDescription=${target}\n`);
    }
    place('/usr/lib/systemd/system/amazon-cloudwatch-agent.service', '[Service]\nExecStart=/usr/bin/node-24\n');
    const units = [...filesOf(script)].filter(([path]) => path.startsWith('/etc/systemd/system/'));
    for (const [path, text] of units) place(path, change(text));
    return units.map(([path]) => path);
  }

  const verify = (units: readonly string[]) =>
    spawnSync('systemd-analyze', ['verify', '--man=no', `--root=${root}`, ...units.map((unit) => join(root, unit))], {
      encoding: 'utf8',
    });

  test.each(scripts)('has nothing to say about the units of $name', async ({ text }) => {
    const { status, stderr } = verify(await rootOf(text));
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  test.each([
    ['a program that is not there', (unit: string) => unit.replace('/usr/bin/node-24', '/usr/bin/node-25')],
    ['a directive that is misspelt', (unit: string) => unit.replace('WatchdogSec', 'WatchdogSecs')],
  ])('would have something to say: %s is found', async (_, change) => {
    const { stderr } = verify(await rootOf(scripts[0]!.text, change));
    expect(stderr).not.toBe('');
  });

  test('finds the worker exposed to little of the system', async () => {
    const units = await rootOf(scripts[0]!.text);
    const unit = join(root, units.find((path) => path.endsWith('sluice-worker.service'))!);
    const { status, stderr, stdout } = spawnSync(
      'systemd-analyze',
      ['security', '--offline=true', '--threshold=20', '--no-pager', unit],
      { encoding: 'utf8' },
    );
    expect({ status, last: stdout.trim().split('\n').at(-1), stderr }).toMatchObject({ status: 0 });
  });
});
