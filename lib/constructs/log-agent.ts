/**
 * How a worker's lines leave its instance.
 *
 *   unit ──append──▶ WORKER_LOG_FILE ──CloudWatch agent──▶ log group, and from there the metrics
 *                          │
 *                    logrotate, every minute
 *
 * systemd opens the file as root and hands it to the worker, which has no right to the folder; the agent may read it and
 * nothing else of the instance that needs a right. See docs/decisions/0033-logs-through-a-file.md.
 *
 * Holds always: the unit, the agent and the rotation name the same file; the file is there with its rights before either
 * opens it; file and copy together stay below twice LOG_FILE_MAX_MIB and what is written in two rotation intervals.
 */

export const WORKER_LOG_FILE = '/var/log/sluice/worker.log';
const WORKER_LOG_FOLDER = '/var/log/sluice';
/** User and group that the agent's package makes. */
export const LOG_READER = 'cwagent';
const AGENT_CONFIGURATION_FILE = '/etc/sluice/log-agent.json';
const ROTATION_CONFIGURATION_FILE = '/etc/sluice/log-rotation.conf';
/** Far more than the agent is ever behind: what it has not read when the file is cut is lost. */
const LOG_FILE_MAX_MIB = 32;
/** A worker that logs a line for each of some thousand messages a second writes a hundred megabytes in that time. */
const ROTATION_INTERVAL = '1min';

/** What the packages of the instance have to be. */
export const LOG_AGENT_PACKAGES = ['amazon-cloudwatch-agent', 'logrotate'] as const;

/** The lines of the unit that let its output go to the file. */
export const LOG_UNIT_LINES = `StandardOutput=append:${WORKER_LOG_FILE}
StandardError=inherit`;

/** What starts after the agent stops before it: the last lines of a drain leave the instance too. */
export const LOG_UNIT_ORDER = 'After=amazon-cloudwatch-agent.service';

/**
 * The agent's configuration; the name of the group is a variable of the fleet.
 *
 * It names no retention, which the template sets: with one, the agent would ask for the right to change it.
 */
export function logAgentConfiguration(): string {
  return JSON.stringify(
    {
      agent: { run_as_user: LOG_READER },
      logs: {
        logs_collected: {
          files: {
            collect_list: [
              {
                file_path: WORKER_LOG_FILE,
                log_group_name: '${FLEET_LOG_GROUP}',
                log_stream_name: '{instance_id}',
              },
            ],
          },
        },
      },
    },
    null,
    2,
  );
}

/** The part of the script that has to come after the packages and before the unit starts. */
export function logAgentScript(): string {
  return `# The file is there with its rights before the first line is written: systemd opens it as root, the agent reads it.
install --directory --owner=root --group=${LOG_READER} --mode=0750 ${WORKER_LOG_FOLDER}
install --owner=root --group=${LOG_READER} --mode=0640 /dev/null ${WORKER_LOG_FILE}

cat > ${AGENT_CONFIGURATION_FILE} <<'END_OF_AGENT'
${logAgentConfiguration()}
END_OF_AGENT

# The worker keeps the file open and cannot be told to open another: it is copied and cut.
cat > ${ROTATION_CONFIGURATION_FILE} <<'END_OF_ROTATION'
${WORKER_LOG_FILE} {
  size ${LOG_FILE_MAX_MIB}M
  rotate 1
  copytruncate
  nocompress
  missingok
}
END_OF_ROTATION

cat > /etc/systemd/system/sluice-log-rotation.service <<'END_OF_UNIT'
[Unit]
Description=Keeps the log file of the Sluice worker small

[Service]
Type=oneshot
StateDirectory=sluice-log-rotation
ExecStart=/usr/sbin/logrotate --state /var/lib/sluice-log-rotation/state ${ROTATION_CONFIGURATION_FILE}
END_OF_UNIT

cat > /etc/systemd/system/sluice-log-rotation.timer <<'END_OF_UNIT'
[Unit]
Description=Looks at the log file of the Sluice worker

[Timer]
OnActiveSec=${ROTATION_INTERVAL}
OnUnitActiveSec=${ROTATION_INTERVAL}
AccuracySec=1s

[Install]
WantedBy=timers.target
END_OF_UNIT

systemctl daemon-reload
systemctl enable --now sluice-log-rotation.timer
/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s -c file:${AGENT_CONFIGURATION_FILE}
`;
}
