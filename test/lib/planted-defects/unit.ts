/** What can be wrong with the unit of a worker in a template, one at a time. */
import { WORKER } from './places.ts';
import { type TemplateDefect, text } from './planting.ts';

const line = (what: string, from: string | RegExp, to: string): TemplateDefect => ({
  what,
  plant: text(WORKER, from, to),
});

export const unit: readonly TemplateDefect[] = [
  line('a worker that is killed while it waits for its database', /TimeoutStartSec=\d+/, 'TimeoutStartSec=30'),
  line('a worker that may hang for a day while it starts', /TimeoutStartSec=\d+/, 'TimeoutStartSec=86400'),
  line('a watchdog that kills a worker that is well', /WatchdogSec=\d+/, 'WatchdogSec=5'),
  line('a watchdog that looks once an hour', /WatchdogSec=\d+/, 'WatchdogSec=3600'),
  line('an instance that stays when its worker has left', ' systemctl --no-block poweroff || true', ' true'),
  line('an instance that powers off when its worker fails', '!= success ||', '= success ||'),
  line('a power-off without the right to it', 'ExecStopPost=+/bin/sh', 'ExecStopPost=/bin/sh'),
  line('a worker that never fails often enough to be given up', /RestartSec=\d+/, 'RestartSec=600'),
  line('failures that are counted within seconds', /StartLimitIntervalSec=\d+/, 'StartLimitIntervalSec=10'),
  line('failures that are not counted', /StartLimitIntervalSec=\d+/, 'StartLimitIntervalSec=0'),
  line('failures that are counted for an hour', /StartLimitIntervalSec=\d+/, 'StartLimitIntervalSec=3600'),
  line('a worker that is given up at its first failure', /StartLimitBurst=\d+/, 'StartLimitBurst=1'),
  line('a worker without time for its last words', /TimeoutStopSec=\d+/, 'TimeoutStopSec=61'),
  line('a worker that systemd does not hear', 'NotifyAccess=all', 'NotifyAccess=main'),
  line('a worker that is not told its environment', 'EnvironmentFile=/etc/sluice/worker.env\\n', ''),
  line('a worker that does not know its group', 'EnvironmentFile=/etc/sluice/instance.env\\n', ''),
  line(
    'a worker that completes the wrong hook',
    `LAUNCH_HOOK_NAME=\${FLEET_LAUNCH_HOOK}\\nTERMINATION_HOOK_NAME=\${FLEET_TERMINATION_HOOK}`,
    `LAUNCH_HOOK_NAME=\${FLEET_TERMINATION_HOOK}\\nTERMINATION_HOOK_NAME=\${FLEET_LAUNCH_HOOK}`,
  ),
  line('a worker that cannot speak to systemd', 'AF_UNIX ', ''),
  line('a worker without a network', 'PrivateTmp=yes', 'PrivateTmp=yes\\nPrivateNetwork=yes'),
  line('a worker that is ended once an hour', 'PrivateTmp=yes', 'PrivateTmp=yes\\nRuntimeMaxSec=3600'),
  line('a worker without the calls of a service', '@system-service', '@basic-io'),
  line('a worker whose last lines stay behind', 'After=amazon-cloudwatch-agent.service\\n', ''),
  line('an instance that gives up and stays', '|| true\\nsystemctl poweroff\\n', '|| true\\n'),
  line(
    'an instance that gives up and is let through',
    'lifecycle-action-result ABANDON',
    'lifecycle-action-result CONTINUE',
  ),
  line(
    'an instance that gives up and tells the other hook',
    `name '\${FLEET_LAUNCH_HOOK}'`,
    `name '\${FLEET_TERMINATION_HOOK}'`,
  ),
];
