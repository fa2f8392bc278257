/** What an instance runs at its first boot: nothing as root that need not be, and nothing that fails in silence. */
import { type Fleet, found, type Rule, textOf, unless } from './stage.ts';

const SUBSTITUTED = /\$\{(?!!)([^}]*)\}/g;
const WORKER_UNIT = '/etc/systemd/system/sluice-worker.service';
const ENVIRONMENT_FILE = '/etc/sluice/worker.env';
/** Facts of the fleet that whoever runs it elsewhere reads. */
const FACTS = [
  'FLEET_NAME',
  'FLEET_ENTRY',
  'FLEET_BUNDLE_BUCKET',
  'FLEET_BUNDLE_KEY',
  'FLEET_LOG_GROUP',
  'FLEET_MINIMUM',
  'FLEET_MAXIMUM',
  'FLEET_GROUP',
  'FLEET_LAUNCH_HOOK',
  'FLEET_TERMINATION_HOOK',
];
/** What every worker is told. */
const TOLD = [
  'QUEUE_URL',
  'DEAD_LETTER_QUEUE_URL',
  'DRAIN_SECONDS',
  'STAGE',
  'AWS_REGION',
  'PGHOST',
  'PGPORT',
  'PGDATABASE',
  'PGUSER',
  'PGSSLMODE',
  'NODE_OPTIONS',
  'LOG_LEVEL',
];
/** Lines of the unit, with what it would mean to be without one. */
const HARDENING: Readonly<Record<string, string>> = {
  'User=sluice': 'runs as root',
  'NoNewPrivileges=yes': 'may get new privileges',
  'ProtectSystem=strict': 'may write to the file system',
  'ProtectHome=yes': 'sees the homes of others',
  'PrivateTmp=yes': 'shares its temporary files',
  'PrivateDevices=yes': 'sees devices',
  'ProtectKernelTunables=yes': 'may change the kernel',
  'ProtectKernelModules=yes': 'may load modules of the kernel',
  'ProtectControlGroups=yes': 'may change its own limits',
  'RestrictSUIDSGID=yes': 'may make programs that run as others',
  'CapabilityBoundingSet=': 'has capabilities of root',
  'Restart=on-failure': 'is not started again after a failure',
  'Type=notify': 'counts as started before it works',
  'UMask=0077': 'lets others read what it writes',
  'LimitCORE=0': 'leaves messages behind in a dump',
};
/** V8 compiles into memory that is writable and executable: with these a worker ends at once. */
const KILLS_V8 = /^(MemoryDenyWriteExecute=(yes|true|on|1)|SystemCallFilter=.*(?:@jit|~))/m;
const TIME_LIMIT = /^TimeoutStopSec=(\d+)$/m;
/** What fetches a program from where nobody in this account answers for it. */
const FETCHES = /\b(curl|wget|npm|pip3?|git clone)\b/;
const SOURCES_OF_DOWNLOADS = /^aws s3 cp .*'s3:\/\/\$\{FLEET_BUNDLE_BUCKET\}\/\$\{FLEET_BUNDLE_KEY\}'/m;

export const userDataRules = {
  'a script refers to every variable, and to nothing else': (stage) =>
    stage.fleets.flatMap(({ template, script, variables }) => {
      const referred = new Set([...script.matchAll(SUBSTITUTED)].map((match) => match[1]!));
      const names = Object.keys(variables);
      return [
        ...names
          .filter((name) => !referred.has(name))
          .map((name) => found(template, `has a variable ${name} that its script does not use`)),
        ...[...referred]
          .filter((name) => !names.includes(name))
          .map((name) => found(template, `has a script that uses ${name}, which is no variable`)),
        ...[...FACTS, ...TOLD]
          .filter((name) => !names.includes(name))
          .map((name) => found(template, `does not tell ${name}`)),
      ];
    }),

  'a worker is told everything that it needs, as it is': (stage) =>
    stage.fleets.flatMap((fleet) => {
      const { template, script, variables } = fleet;
      const environment = fileIn(script, ENVIRONMENT_FILE)
        .split('\n')
        .filter((line) => line !== '');
      const expected = Object.keys(variables)
        .filter((name) => !name.startsWith('FLEET_'))
        .map((name) => `${name}=\${${name}}`);
      return [
        ...unless(environment.join() === expected.join(), template, 'writes another environment than it has variables'),
        ...unless(
          variables.STAGE === stage.name,
          template,
          `tells its worker that the stage is ${textOf(variables.STAGE)}`,
        ),
        ...unless(variables.PGSSLMODE === 'verify-full', template, 'connects to a database that it does not verify'),
        ...unless(
          !/--(inspect|require|import|insecure)/.test(textOf(variables.NODE_OPTIONS)),
          template,
          'has options of Node that open it',
        ),
      ];
    }),

  'a worker and its queues belong together': (stage) =>
    stage.fleets.flatMap(({ template, name, variables }) =>
      ['QUEUE_URL', 'DEAD_LETTER_QUEUE_URL'].flatMap((variable) => {
        const queue = stage.referred(template.stack, variables[variable]);
        const isDeadLetterQueue = variable === 'DEAD_LETTER_QUEUE_URL';
        const expected = new RegExp(`^sluice-${stage.name}-${name}${isDeadLetterQueue ? '-dlq' : ''}(\\.fifo)?$`);
        const is = textOf(queue?.properties.QueueName);
        return unless(expected.test(is), template, `has ${is} as ${variable}`);
      }),
    ),

  'a set-up that fails is told': (stage) =>
    stage.fleets.flatMap(({ template, script }) => [
      ...unless(/^#!\/bin\/bash\n/.test(script), template, 'has a script that is not for bash'),
      ...unless(/^set -euo pipefail$/m.test(script), template, 'goes on after a command that failed'),
      ...unless(
        /^trap '.*\/usr\/local\/sbin\/sluice-give-up' ERR$/m.test(script),
        template,
        'leaves an instance that does nothing in service',
      ),
      ...unless(
        /^systemctl enable --now --no-block sluice-worker\.service$/m.test(script),
        template,
        'does not start its worker at every boot',
      ),
    ]),

  'an instance runs its own bundle and packages of the distribution': (stage) =>
    stage.fleets.flatMap(({ template, script }) => [
      ...unless(SOURCES_OF_DOWNLOADS.test(script), template, 'does not fetch the bundle of its fleet'),
      ...unless(
        !FETCHES.test(commandsOf(script)),
        template,
        `fetches a program with ${FETCHES.exec(commandsOf(script))?.[1]}`,
      ),
    ]),

  'a worker runs without rights that it does not need': (stage) =>
    stage.fleets.flatMap(({ template, script }) => {
      const lines = unitOf(script).split('\n');
      return Object.entries(HARDENING)
        .filter(([line]) => lines.filter((each) => each.startsWith(`${line.split('=')[0]}=`)).join() !== line)
        .map(([, problem]) => found(template, `has a worker that ${problem}`));
    }),

  'a worker may compile, and has time to drain': (stage) =>
    stage.fleets.flatMap(({ template, script, variables }) => {
      const unit = unitOf(script);
      const limit = Number(TIME_LIMIT.exec(unit)?.[1]);
      return [
        ...unless(!KILLS_V8.test(unit), template, 'has a unit in which V8 cannot run'),
        ...unless(
          limit > Number(variables.DRAIN_SECONDS),
          template,
          `is killed ${limit} s after it is told to stop, and may take ${textOf(variables.DRAIN_SECONDS)}`,
        ),
        ...unless(/^KillSignal=SIGTERM$/m.test(unit), template, 'is not told to stop by SIGTERM'),
      ];
    }),

  'a worker that hangs or cannot run takes its instance out of the group': (stage) =>
    stage.fleets.flatMap(({ template, script }) => {
      const unit = unitOf(script);
      return [
        ...unless(/^WatchdogSec=\d+$/m.test(unit), template, 'has a worker that may hang for ever'),
        ...unless(/^OnFailure=sluice-give-up\.service$/m.test(unit), template, 'stays in its group without a worker'),
        ...unless(/^StartLimitBurst=\d+$/m.test(unit), template, 'starts its worker without end'),
      ];
    }),
} satisfies Record<string, Rule>;

/** What the script writes to a file. */
export function fileIn(script: string, path: string): string {
  const [, start] = script.split(`\ncat > ${path} <<'`);
  const [, word = '', text = ''] = /^(\w+)'\n(.*)$/s.exec(start ?? '') ?? [];
  return text.split(`\n${word}\n`)[0]!.concat('\n');
}

export function unitOf(script: Fleet['script']): string {
  return fileIn(script, WORKER_UNIT);
}

/** All files that the script writes, by their paths. */
export function filesOf(script: string): Map<string, string> {
  const documents = script.matchAll(/^cat > (\S+) <<'(\w+)'\n(.*?)^\2$/gms);
  return new Map([...documents].map(([, path, , text]) => [path!, text!]));
}

/** The script without comments and the files that it writes. */
export function commandsOf(script: string): string {
  return script.replaceAll(/<<'(\w+)'\n.*?\n\1$/gms, '').replaceAll(/^#.*$/gm, '');
}
