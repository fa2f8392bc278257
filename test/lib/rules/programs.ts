/** Whatever an instance runs is there when it runs: by its image, by a package that was installed before, or in its bundle. */
import { BUNDLE_ENTRY } from '../../../lib/constructs/worker-build.ts';
import { found, type Rule, textOf, unless } from './stage.ts';
import { commandsOf, fileIn, filesOf, unitOf } from './user-data.ts';

/** Of bash, and of what every Amazon Linux 2023 has. `aws` is among it, and no unzip. */
const OF_THE_IMAGE = new Set(
  'aws bash cat chmod curl dnf echo install journalctl rm set sh systemctl tail test timeout trap true useradd'.split(
    ' ',
  ),
);
/** Programs by their packages: what `dnf repoquery --list` names of each. */
const OF_PACKAGES: readonly (readonly [program: RegExp, packageOf: (major: string) => string])[] = [
  [/^\/usr\/bin\/node-(\d+)$/, (major) => `nodejs${major}`],
  [/^()unzip$/, () => 'unzip'],
  [/^()\/usr\/sbin\/logrotate$/, () => 'logrotate'],
  [/^()\/opt\/aws\/amazon-cloudwatch-agent\/bin\/amazon-cloudwatch-agent-ctl$/, () => 'amazon-cloudwatch-agent'],
];
/** Where the image has its programs. */
const FOLDERS_OF_THE_IMAGE = /^\/(usr\/)?s?bin\//;

export const programRules = {
  'every program that an instance calls is installed': (stage) =>
    stage.fleets.flatMap(({ template, script }) => {
      const installed = /^dnf install .*$/m.exec(script)?.[0].split(' ') ?? [];
      const own = [...filesOf(script).keys()];
      const missing = [...programsIn(script)].filter((program) => {
        if (own.includes(program)) return false;
        const [pattern, packageOf] = OF_PACKAGES.find(([each]) => each.test(program)) ?? [];
        if (packageOf === undefined) return !OF_THE_IMAGE.has(program.replace(FOLDERS_OF_THE_IMAGE, ''));
        return !installed.includes(packageOf(pattern!.exec(program)![1]!));
      });
      return missing.map((program) => found(template, `calls ${program}, which no package of it brings`));
    }),

  'a worker is what the bundle of its fleet begins with': (stage) =>
    stage.fleets.flatMap(({ template, script, variables }) => [
      ...unless(
        variables.FLEET_ENTRY === BUNDLE_ENTRY,
        template,
        `starts ${textOf(variables.FLEET_ENTRY)}, and the bundle has ${BUNDLE_ENTRY}`,
      ),
      ...unless(
        /^ExecStart=\/usr\/bin\/node-\d+ \/opt\/sluice\/\$\{FLEET_NAME\}\/\$\{FLEET_ENTRY\}$/m.test(unitOf(script)) &&
          /^unzip .* -d '\/opt\/sluice\/\$\{FLEET_NAME\}'$/m.test(script),
        template,
        'starts a file that is not where its bundle is unpacked',
      ),
    ]),

  'a worker runs as a user that is there': (stage) =>
    stage.fleets.flatMap(({ template, script }) => {
      const user = /^User=(\w+)$/m.exec(unitOf(script))?.[1];
      return unless(
        user !== undefined && new RegExp(`^useradd .*--user-group .* ${user}$`, 'm').test(commandsOf(script)),
        template,
        `runs its worker as ${user}, which nobody makes`,
      );
    }),

  'the lines of a worker are read, carried away and kept from filling the disk': (stage) =>
    stage.fleets.flatMap(({ template, script }) => {
      const file = /^StandardOutput=append:(\S+)$/m.exec(unitOf(script))?.[1] ?? '';
      const commands = commandsOf(script);
      const reader = /"run_as_user": "(\w+)"/.exec(fileIn(script, '/etc/sluice/log-agent.json'))?.[1];
      const rotation = fileIn(script, '/etc/sluice/log-rotation.conf');
      const timer = fileIn(script, '/etc/systemd/system/sluice-log-rotation.timer');
      const size = Number(/^ {2}size (\d+)M$/m.exec(rotation)?.[1]);
      return [
        ...unless(
          new RegExp(`^install --owner=root --group=${reader} --mode=0640 /dev/null ${file}$`, 'm').test(commands),
          template,
          'has a log file that its agent may not read, or everybody',
        ),
        ...unless(
          /amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s -c file:\/etc\/sluice\/log-agent\.json$/m.test(
            commands,
          ),
          template,
          'has an agent that is not started, or not with what it is to read',
        ),
        ...unless(
          rotation.startsWith(`${file} {\n`) && size <= ROTATION_MAX_MIB && /^ {2}copytruncate$/m.test(rotation),
          template,
          'has a log file that fills the disk',
        ),
        ...unless(
          /^systemctl enable --now sluice-log-rotation\.timer$/m.test(commands) &&
            /^OnUnitActiveSec=1min$/m.test(timer),
          template,
          'does not look at the size of its log file',
        ),
      ];
    }),
} satisfies Record<string, Rule>;

/** With its copy a hundredth of the smallest root volume. */
const ROTATION_MAX_MIB = 40;

/** The first words of all commands: of the script, of the programs and the units that it writes. */
function programsIn(script: string): Set<string> {
  const files = filesOf(script);
  const programs = [...files.values()].filter((text) => text.startsWith('#!/bin/bash'));
  const ofUnits = [...files].flatMap(([path, text]) =>
    path.startsWith('/etc/systemd/system/')
      ? [...text.matchAll(/^Exec\w+=[-+@!:]*(\S+)(?: -c '(.*)')?/gm)].flatMap(([, program, command = '']) => [
          program!,
          ...wordsIn(command),
        ])
      : [],
  );
  return new Set([...[commandsOf(script), ...programs].flatMap(wordsIn), ...ofUnits]);
}

function wordsIn(shell: string): string[] {
  const functions = [...shell.matchAll(/^(\w+)\(\)/gm)].map(([, name]) => name!);
  return (
    shell
      .replaceAll(/\\\n\s*/g, ' ')
      .replaceAll(/^\s*#.*$/gm, '')
      .replaceAll(/\$\{[^}]*\}/g, 'x')
      // What is called with a limit of time, or by a trap, is called.
      .replaceAll(/\btimeout \d+ /g, 'timeout; ')
      .replaceAll(/^trap '/gm, 'trap; ')
      .split(/\n|;|\|\|?|&&|\$\(|[{}()]/)
      .map(
        (command) =>
          command
            .trim()
            .replace(/^\w+=\S*\s*/, '')
            .split(/[\s']/)[0]!,
      )
      .filter((word) => /^[\w/][\w./-]*$/.test(word) && !functions.includes(word))
  );
}
