/**
 * The unit of a worker fits the worker: its times against each other and against those that the worker has of its own, and
 * nothing taken from it that it needs.
 */

import { LEFT_MS_MAX } from '../../../workers/instance/instance.ts';
import { NOTIFY_MS_MAX, WATCHDOG_SHARE } from '../../../workers/instance/systemd-unit.ts';
import { ATTEMPT_MS_MAX } from '../../../workers/runtime/liveness.ts';
import { START_SECONDS_MAX } from '../../../workers/start-failure.ts';
import { found, type Rule, textOf, unless } from './stage.ts';
import { fileIn, unitOf } from './user-data.ts';

/** For its queue, for its database, and for a first write. */
const WAITS_AT_START = 3;
const START_MIN_SECONDS = WAITS_AT_START * START_SECONDS_MAX;
/** A worker that hangs while it starts is found by nothing else. */
const START_MAX_SECONDS = 2 * START_MIN_SECONDS;
/** Each word may take NOTIFY_MS_MAX, and the next must not be due before. */
const WATCHDOG_MIN_SECONDS = NOTIFY_MS_MAX / 1000 / WATCHDOG_SHARE;
/** A worker that hangs as a whole is found no later than one in which a write does. */
const WATCHDOG_MAX_SECONDS = ATTEMPT_MS_MAX / 1000;
/** What a bundle that cannot run takes to say so, on the smallest instance. */
const FAILED_START_MAX_SECONDS = 15;
/** A second for systemd to see the end of it. */
const LAST_WORDS_SECONDS = (LEFT_MS_MAX + NOTIFY_MS_MAX) / 1000 + 1;
const INSTANCE_FILE = '/etc/sluice/instance.env';
const GIVE_UP_UNIT = '/etc/systemd/system/sluice-give-up.service';
const GIVE_UP_PROGRAM = '/usr/local/sbin/sluice-give-up';

/** Lines of the unit without which a worker does not work as it was seen to, with what happens then. */
const NEEDED: Readonly<Record<string, string>> = {
  'NotifyAccess=all': 'is not heard by systemd: what speaks for it is a child of its own',
  'SystemCallFilter=@system-service': 'lacks calls of the system that Node makes, or has more of them',
  'EnvironmentFile=/etc/sluice/worker.env': 'is not told its environment',
  [`EnvironmentFile=${INSTANCE_FILE}`]: 'does not know that it is in a group',
  'WorkingDirectory=/opt/sluice/${FLEET_NAME}': 'starts where its bundle is not',
  'After=network-online.target': 'starts before there is a network',
  'After=amazon-cloudwatch-agent.service': 'stops after what carries its last lines away',
  'StandardError=inherit': 'loses what Node says when it dies',
  'WantedBy=multi-user.target': 'is not started when the machine boots again',
};
/** Families without which it reaches neither a service nor systemd. */
const FAMILIES = ['AF_INET', 'AF_UNIX'];
/** What would cut a worker off, or end it in good order. */
const CUTS_OFF =
  /^(PrivateNetwork=(yes|true|on|1)|IPAddressDeny=.+|NetworkNamespacePath=.+|RuntimeMaxSec=.+|MemoryMax=.+|TasksMax=.+|(InaccessiblePaths|ExecPaths|NoExecPaths)=.+)$/m;

export const unitRules = {
  'a worker has time to start, and is waited for no longer': (stage) =>
    stage.fleets.flatMap(({ template, script }) => {
      const seconds = secondsOf(unitOf(script), 'TimeoutStartSec');
      return unless(
        seconds >= START_MIN_SECONDS && seconds <= START_MAX_SECONDS,
        template,
        `gives its worker ${seconds} s to start; it waits up to ${START_MIN_SECONDS} for what it needs`,
      );
    }),

  'a watchdog hears a worker that is well, and minds one that is not': (stage) =>
    stage.fleets.flatMap(({ template, script }) => {
      const seconds = secondsOf(unitOf(script), 'WatchdogSec');
      return unless(
        seconds > WATCHDOG_MIN_SECONDS && seconds <= WATCHDOG_MAX_SECONDS,
        template,
        `has a watchdog of ${seconds} s; allowed: more than ${WATCHDOG_MIN_SECONDS}, at most ${WATCHDOG_MAX_SECONDS}`,
      );
    }),

  'a worker that cannot run meets the limit of starts, and one that waits for its database never does': (stage) =>
    stage.fleets.flatMap(({ template, script }) => {
      const unit = unitOf(script);
      const interval = secondsOf(unit, 'StartLimitIntervalSec');
      const failures = secondsOf(unit, 'StartLimitBurst');
      const round = secondsOf(unit, 'RestartSec') + FAILED_START_MAX_SECONDS;
      return [
        ...unless(
          failures * round < interval,
          template,
          `starts its worker without end: ${failures} failures take ${failures * round} s, and are counted within ${interval}`,
        ),
        ...unless(
          failures >= 2 && failures * START_SECONDS_MAX > interval,
          template,
          'gives up a worker that only waits for its database',
        ),
      ];
    }),

  'a worker has time for its last words': (stage) =>
    stage.fleets.flatMap(({ template, script, variables }) => {
      const seconds = secondsOf(unitOf(script), 'TimeoutStopSec');
      const needed = Number(variables.DRAIN_SECONDS) + LAST_WORDS_SECONDS;
      return unless(seconds >= needed, template, `kills its worker after ${seconds} s; it may take ${needed}`);
    }),

  'an instance whose worker has left powers off': (stage) =>
    stage.fleets.flatMap(({ template, script }) =>
      unless(
        // As root, after a good end alone, and without waiting for itself.
        /^ExecStopPost=\+\/bin\/sh -c 'test "\$\$SERVICE_RESULT" != success \|\| systemctl --no-block poweroff\b.*'$/m.test(
          unitOf(script),
        ),
        template,
        'stays, and takes work no more, when its worker has left',
      ),
    ),

  'an instance that gives up tells the hook of its launch, and powers off': (stage) =>
    stage.fleets.flatMap(({ template, script }) => {
      const program = fileIn(script, GIVE_UP_PROGRAM);
      const call = /\baws autoscaling complete-lifecycle-action (?:[^\n]*\\\n)*[^\n]*/.exec(program)?.[0] ?? '';
      return [
        ...unless(
          call.includes(`--auto-scaling-group-name '\${FLEET_GROUP}'`) &&
            call.includes(`--lifecycle-hook-name '\${FLEET_LAUNCH_HOOK}'`) &&
            call.includes('--lifecycle-action-result ABANDON') &&
            call.endsWith('|| true'),
          template,
          'does not tell the hook of its launch that its worker cannot run',
        ),
        ...unless(/\nsystemctl poweroff\n$/.test(program), template, 'stays when it has given up'),
        ...unless(
          /^ExecStart=\/usr\/local\/sbin\/sluice-give-up$/m.test(fileIn(script, GIVE_UP_UNIT)) &&
            new RegExp(`^chmod 0755 ${GIVE_UP_PROGRAM}$`, 'm').test(script),
          template,
          'has a unit for giving up that runs something else',
        ),
      ];
    }),

  'a worker is told its group and the hooks of it': (stage) =>
    stage.fleets.flatMap(({ template, script }) => {
      const expected = [
        'AUTO_SCALING_GROUP_NAME=${FLEET_GROUP}',
        'LAUNCH_HOOK_NAME=${FLEET_LAUNCH_HOOK}',
        'TERMINATION_HOOK_NAME=${FLEET_TERMINATION_HOOK}',
      ];
      return unless(
        fileIn(script, INSTANCE_FILE).trim() === expected.join('\n'),
        template,
        'tells its worker of another group or hook than its own',
      );
    }),

  'a unit takes nothing from its worker that it needs': (stage) =>
    stage.fleets.flatMap(({ template, script }) => {
      const unit = unitOf(script);
      const lines = unit.split('\n');
      const families = /^RestrictAddressFamilies=(.*)$/m.exec(unit)?.[1]?.split(' ') ?? FAMILIES;
      const cut = CUTS_OFF.exec(unit)?.[0];
      return [
        ...Object.entries(NEEDED)
          .filter(([line]) => !lines.includes(line))
          .map(([, problem]) => found(template, `has a worker that ${problem}`)),
        ...unless(cut === undefined, template, `has a worker that ${textOf(cut)} cuts off`),
        ...FAMILIES.filter((family) => !families.includes(family)).map((family) =>
          found(template, `has a worker without ${family}`),
        ),
      ];
    }),
} satisfies Record<string, Rule>;

/** NaN, with which nothing compares, where the unit has no such line or says it in another way. */
function secondsOf(unit: string, directive: string): number {
  return Number(new RegExp(`^${directive}=(\\d+)$`, 'm').exec(unit)?.[1] ?? Number.NaN);
}
