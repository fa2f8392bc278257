/**
 * The rendered unit under a real systemd: the worker runs with all that the unit takes away from it, the watchdog ends one
 * that hangs, one that has left powers the machine off, and so does one that cannot run.
 *
 * systemd gets a machine of its own, out of namespaces (machine.sh), for which it takes root. Where that is not to be had,
 * the tests are skipped, aloud; and nobody's machine boots another unasked:
 *
 *   SLUICE_TEST_SYSTEMD=1 npm test -- test/workers/instance/under-systemd
 */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { giveUpScript, unitScript } from '../../../lib/constructs/fleet-unit.ts';
import { bundleWorker } from '../../../lib/constructs/worker-build.ts';
import { afterwards, eventually, temporaryFolder } from '../../local/machine/machine.ts';
import { bodyOf, order } from '../orders.ts';
import { postgresForTests } from '../postgres.ts';
import { TestSqs } from '../worker-process.ts';
import { FakeAutoScaling } from './fake-auto-scaling.ts';
import { FakeMetadata } from './fake-metadata.ts';

const MACHINE = fileURLToPath(new URL('machine.sh', import.meta.url));
const NAMESPACES = ['--pid', '--fork', '--kill-child', '--mount', '--mount-proc', '--uts', '--ipc', '--cgroup'];
/** A boot, six seconds of silence until the watchdog barks, another start; on a busy machine. */
const TEST_MS_MAX = 180_000;

/** Why there can be no machine here; undefined where there can. */
function obstacle(): string | undefined {
  if (process.env.SLUICE_TEST_SYSTEMD !== '1') return 'SLUICE_TEST_SYSTEMD is not 1';
  if (process.getuid?.() !== 0) return 'it takes root';
  for (const program of ['/lib/systemd/systemd', 'systemd-notify', 'curl', 'useradd', 'script']) {
    if (spawnSync(program, ['--version']).error !== undefined) return `${program} is not installed`;
  }
  const { status } = spawnSync('unshare', [...NAMESPACES, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']);
  return status === 0 ? undefined : 'namespaces are not to be had';
}

const reason = obstacle();
if (reason !== undefined) process.stderr.write(`SKIPPED: the unit under systemd, because ${reason}\n`);
const describeMachine = reason === undefined ? describe : describe.skip;

const postgres = postgresForTests();
const sqs = new TestSqs();
const stored = async () => Number((await postgres.rows('select count(*) from orders'))[0]![0]);

const VARIABLES: Readonly<Record<string, string>> = {
  FLEET_NAME: 'orders',
  FLEET_ENTRY: 'index.mjs',
  FLEET_MINIMUM: '1',
  FLEET_MAXIMUM: '2',
  FLEET_GROUP: 'sluice-test-orders',
  FLEET_LAUNCH_HOOK: 'ready',
  FLEET_TERMINATION_HOOK: 'drain',
};

/** What the script of a fleet writes, by path, with what takes minutes on an instance in seconds. */
function instanceFiles(metadataEndpoint: string): Map<string, string> {
  const script = `${giveUpScript()}\n${unitScript(60)}`
    .replace(/\$\{(\w+)\}/g, (_, name: string) => VARIABLES[name]!)
    .replace(/^WatchdogSec=.*$/m, 'WatchdogSec=6')
    .replace(/^RestartSec=.*$/m, 'RestartSec=0.2')
    .replace('http://169.254.169.254', metadataEndpoint);
  const documents = script.matchAll(/^cat > (\S+) <<'(END_OF_\w+)'\n(.*?)^\2$/gms);
  return new Map([...documents].map(([, path, , text]) => [path!, text!]));
}

/** An instance that boots with `bundle`, until its systemd has powered it off. */
async function boot(environment: NodeJS.ProcessEnv, metadata: FakeMetadata, fillBundle: (folder: string) => void) {
  const folder = await temporaryFolder();
  const place = (path: string, text: string, mode = 0o644) => {
    mkdirSync(dirname(join(folder, 'root', path)), { recursive: true });
    writeFileSync(join(folder, 'root', path), text, { mode });
  };
  for (const [path, text] of instanceFiles(metadata.endpoint)) {
    place(path.replace('/etc/systemd/system/', '/etc/systemd/machine/'), text, text.startsWith('#!') ? 0o755 : 0o644);
  }
  place('/etc/systemd/machine/default.target', '[Unit]\nWants=sluice-worker.service\n');
  // What a machine starts before its services is not what is tried here.
  for (const target of ['sysinit.target', 'basic.target', 'network-online.target'])
    place(`/etc/systemd/machine/${target}`, '[Unit]\n');
  place('/usr/local/bin/aws', '#!/bin/sh\necho "$@" >> /var/log/sluice/aws\n', 0o755);
  const variables = Object.entries(environment).filter(([, value]) => value !== undefined);
  place('/etc/sluice/worker.env', variables.map(([name, value]) => `${name}=${value}\n`).join(''));
  const bundle = join(folder, 'root/opt/sluice/orders');
  mkdirSync(bundle, { recursive: true });
  fillBundle(bundle);
  symlinkSync(process.execPath, join(folder, 'node'));
  mkdirSync(join(folder, 'log'));
  return run(folder);
}

/** In a cgroup of its own, so that systemd finds nobody else in what it takes for the whole machine. */
function run(folder: string) {
  const name = `sluice-test-${process.pid}-${Date.now()}`;
  const machineFor = (what: string) => ['unshare', '--mount', 'sh', MACHINE, what, folder, name].join(' ');
  const machine = spawn('script', ['--quiet', '--flush', '--command', machineFor('enter'), '/dev/null']);
  let console = '';
  for (const stream of [machine.stdout, machine.stderr]) {
    stream.on('data', (text) => {
      console += String(text);
    });
  }
  const isOff = new Promise<void>((resolve) => machine.on('close', () => resolve()));
  afterwards(async () => {
    machine.kill('SIGKILL');
    await isOff;
    spawnSync('sh', ['-c', machineFor('leave')]);
  });
  const read = (file: string) => {
    const path = join(folder, 'log', file);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  };
  return {
    isOff,
    read,
    workerPid: () => workerIn(name),
    /** For who waits in vain. */
    state: (what: string) => () => `${what}; the machine says\n${console}\n${read('worker.log')}`,
  };
}

/** The worker's process, as it is seen from here. */
function workerIn(cgroup: string): number {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const textOf = (pid: string, file: string) => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'utf8');
    } catch {
      // It has ended meanwhile.
      return '';
    }
  };
  const found = pids.find(
    (pid) => textOf(pid, 'cgroup').includes(cgroup) && textOf(pid, 'cmdline').startsWith('/usr/bin/node-24\0'),
  );
  if (found === undefined) throw new Error(`no worker runs in ${cgroup}`);
  return Number(found);
}

describeMachine('an instance under systemd', () => {
  test(
    'works with all that its unit takes from it, is started again when it hangs, and powers off when it has left',
    async () => {
      const metadata = await FakeMetadata.start();
      const autoScaling = await FakeAutoScaling.start();
      const queue = await sqs.makeQueue();
      const environment = sqs.environmentFor(queue, postgres, {
        NODE_COMPILE_CACHE: undefined,
        NODE_OPTIONS: '--max-old-space-size=384 --max-semi-space-size=8',
        AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.endpoint,
        AWS_ENDPOINT_URL_AUTO_SCALING: autoScaling.endpoint,
        NOTICE_INTERVAL_SECONDS: '0.2',
      });
      const machine = await boot(environment, metadata, (folder) => bundleWorker('workers/orders/main.ts', folder));
      const lives = () => machine.read('worker.log').split('orders receives from').length - 1;
      await eventually(machine.state('a worker in service'), () => lives() === 1);
      await sqs.send(queue.url, [bodyOf(order({ orderId: 'one' }))]);
      await eventually('its first order', async () => (await stored()) === 1);
      await eventually('its word to the group', () => autoScaling.of('CompleteLifecycleAction').length === 1);

      process.kill(machine.workerPid(), 'SIGSTOP');
      await eventually(machine.state('a second life'), () => lives() === 2);
      await sqs.send(queue.url, [bodyOf(order({ orderId: 'two' }))]);
      await eventually('its second order', async () => (await stored()) === 2);

      metadata.terminate();
      await machine.isOff;
      expect(machine.read('worker.log')).toContain('everything settled');
      expect(autoScaling.of('CompleteLifecycleAction').at(-1)).toMatchObject({ LifecycleHookName: 'drain' });
      expect(machine.read('aws')).toBe('');
    },
    TEST_MS_MAX,
  );

  test(
    'whose bundle cannot run tells its group so, and powers off',
    async () => {
      const metadata = await FakeMetadata.start();
      metadata.values.set('placement/region', 'eu-central-1');
      const environment = sqs.environmentFor(await sqs.makeQueue(), postgres);
      const machine = await boot(environment, metadata, (folder) => {
        cpSync(
          fileURLToPath(new URL('../../lib/constructs/fixtures/broken.js', import.meta.url)),
          join(folder, 'index.mjs'),
        );
      });
      await machine.isOff;
      expect(machine.read('worker.log').split('Node.js v').length - 1).toBe(5);
      expect(machine.read('aws')).toBe(
        `autoscaling complete-lifecycle-action --region eu-central-1 --auto-scaling-group-name sluice-test-orders --lifecycle-hook-name ready --instance-id ${metadata.instanceId} --lifecycle-action-result ABANDON\n`,
      );
    },
    TEST_MS_MAX,
  );
});
