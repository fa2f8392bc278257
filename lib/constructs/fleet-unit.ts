/**
 * The worker as a unit of systemd, and what becomes of an instance whose worker cannot run:
 *
 *   starting ──READY=1──▶ running ──(exit 0: it has left)──▶ the machine powers off
 *      │                    │  ▲
 *      │ (fails)            │  │ after RESTART_DELAY_SECONDS
 *      └──────────┬─────────┘  │
 *                 ├────────────┘
 *                 └─(START_LIMIT_FAILURES within START_LIMIT_SECONDS)─▶ GIVE_UP_UNIT: a launch hook that waits hears
 *                                                                       ABANDON, and the machine powers off
 *
 * A group replaces a machine that is off. Nothing here needs a person, since nobody can log in.
 *
 * Holds always: a worker is given more time to stop than its drain takes; nothing forbids memory that is writable and
 * executable, which V8 compiles into; a worker whose database is away fails seldom enough never to meet the limit.
 */
import { NODE_PROGRAM } from './fleet-programs.ts';
import { STOP_MARGIN_SECONDS } from './leave-limits.ts';
import { LOG_UNIT_LINES, LOG_UNIT_ORDER, WORKER_LOG_FILE } from './log-agent.ts';

/** A worker waits 300 s each for its queue, its database and a first write before it gives up by itself. */
const START_MAX_SECONDS = 960;
/** A worker says that it is alive three times in this; a poll or a batch without end makes it fall silent after minutes. */
const WATCHDOG_SECONDS = 60;
/** Long enough that a worker that fails at once does not fill the log, short beside a visibility timeout. */
const RESTART_DELAY_SECONDS = 5;
/** A worker that cannot reach its database ends after 300 s at the earliest: once in this time, and never five times. */
const START_LIMIT_SECONDS = 300;
const START_LIMIT_FAILURES = 5;
/** Lines of the journal that go to the console, which is all that is left of an instance that is gone. */
const LAST_LINES = 30;
const API_CALL_MAX_SECONDS = 30;

const GIVE_UP_PROGRAM = '/usr/local/sbin/sluice-give-up';
const GIVE_UP_UNIT = 'sluice-give-up.service';
/** What only an instance is told: the names of its group and of the hooks. */
const INSTANCE_ENVIRONMENT_FILE = '/etc/sluice/instance.env';

/** The unit of the worker of a fleet whose drain takes `drainSeconds`. */
export function workerUnit(drainSeconds: number): string {
  return `[Unit]
Description=Sluice worker \${FLEET_NAME}, one of \${FLEET_MINIMUM} to \${FLEET_MAXIMUM} instances
Wants=network-online.target
After=network-online.target
${LOG_UNIT_ORDER}
StartLimitIntervalSec=${START_LIMIT_SECONDS}
StartLimitBurst=${START_LIMIT_FAILURES}
OnFailure=${GIVE_UP_UNIT}

[Service]
Type=notify
# The worker speaks through systemd-notify, a child of its own.
NotifyAccess=all
User=sluice
Group=sluice
EnvironmentFile=/etc/sluice/worker.env
EnvironmentFile=${INSTANCE_ENVIRONMENT_FILE}
WorkingDirectory=/opt/sluice/\${FLEET_NAME}
ExecStart=${NODE_PROGRAM} /opt/sluice/\${FLEET_NAME}/\${FLEET_ENTRY}
# Who ends well was told to: the machine is of no more use. SuccessAction= would do so at every restart too.
ExecStopPost=+/bin/sh -c 'test "$$SERVICE_RESULT" != success || systemctl --no-block poweroff || true'
${LOG_UNIT_LINES}
TimeoutStartSec=${START_MAX_SECONDS}
WatchdogSec=${WATCHDOG_SECONDS}
Restart=on-failure
RestartSec=${RESTART_DELAY_SECONDS}
KillSignal=SIGTERM
TimeoutStopSec=${drainSeconds + STOP_MARGIN_SECONDS}
# A dump would hold messages.
LimitCORE=0
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
PrivateTmp=yes
PrivateDevices=yes
RemoveIPC=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`;
}

/** The part of the script that comes first: from here on a failure takes the instance out of its group. */
export function giveUpScript(): string {
  return `cat > ${GIVE_UP_PROGRAM} <<'END_OF_PROGRAM'
#!/bin/bash
# Takes this instance out of its group. Whatever of it fails, the machine powers off, and the group replaces it.
journalctl --unit=sluice-worker.service --lines=${LAST_LINES} --no-pager > /dev/console || true
tail --lines=${LAST_LINES} ${WORKER_LOG_FILE} > /dev/console || true
metadata() { curl --silent --fail --max-time 2 "$@"; }
service=http://169.254.169.254/latest
token=$(metadata --request PUT --header 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$service/api/token")
of_instance() { metadata --header "X-aws-ec2-metadata-token: $token" "$service/meta-data/$1"; }
# A hook that waits need not wait for its timeout. Where none waits, this fails and nothing else happens.
timeout ${API_CALL_MAX_SECONDS} aws autoscaling complete-lifecycle-action --region "$(of_instance placement/region)" \\
  --auto-scaling-group-name '\${FLEET_GROUP}' --lifecycle-hook-name '\${FLEET_LAUNCH_HOOK}' \\
  --instance-id "$(of_instance instance-id)" --lifecycle-action-result ABANDON || true
systemctl poweroff
END_OF_PROGRAM
chmod 0755 ${GIVE_UP_PROGRAM}

# An instance that could not be set up must not pass for a worker.
trap 'echo "sluice: setup failed at line $LINENO" >&2; ${GIVE_UP_PROGRAM}' ERR
`;
}

/** The part of the script that starts the worker. */
export function unitScript(drainSeconds: number): string {
  return `cat > ${INSTANCE_ENVIRONMENT_FILE} <<'END_OF_ENVIRONMENT'
AUTO_SCALING_GROUP_NAME=\${FLEET_GROUP}
LAUNCH_HOOK_NAME=\${FLEET_LAUNCH_HOOK}
TERMINATION_HOOK_NAME=\${FLEET_TERMINATION_HOOK}
END_OF_ENVIRONMENT

cat > /etc/systemd/system/${GIVE_UP_UNIT} <<'END_OF_UNIT'
[Unit]
Description=Takes this instance out of its group, because its Sluice worker cannot run

[Service]
Type=oneshot
ExecStart=${GIVE_UP_PROGRAM}
END_OF_UNIT

cat > /etc/systemd/system/sluice-worker.service <<'END_OF_UNIT'
${workerUnit(drainSeconds)}END_OF_UNIT

systemctl daemon-reload
# Not waited for: whether the worker can run is told by the worker, and by its unit.
systemctl enable --now --no-block sluice-worker.service
`;
}
