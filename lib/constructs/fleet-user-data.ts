/**
 * What a fleet runs, once as data and once as a script, in one place of the template:
 *
 *   UserData: { "Fn::Base64": { "Fn::Sub": [script, variables] } }
 *
 * The variables are the data. Those that begin with `FLEET_` are facts of the fleet; all others are the worker's
 * environment, as it is. The script refers to each as ${NAME}, and holds no value of its own. Whoever wants to run
 * the same fleet elsewhere reads the variables and never parses the script. A changed value changes the launch
 * template, so the instances are replaced.
 *
 * Holds always: the script refers to every variable, and to nothing that is not one.
 */
import { Fn } from 'aws-cdk-lib';
import { LOG_AGENT_PACKAGES, LOG_UNIT_LINES, LOG_UNIT_ORDER, logAgentScript } from './log-agent.ts';

export interface FleetDescription {
  /** Name of the fleet: lower-case letters, digits and hyphens, a letter first. */
  readonly name: string;

  /** The file of the bundle that Node runs. */
  readonly entry: string;

  /** Bucket of the bundle, a zip file. */
  readonly bundleBucket: string;

  /** Key of the bundle in its bucket. */
  readonly bundleKey: string;

  /** Log group that the worker's lines go to. */
  readonly logGroupName: string;

  /** The fewest instances. */
  readonly minimum: number;

  /** The most instances. */
  readonly maximum: number;

  /** How long a worker that is told to stop may take; it is told as DRAIN_SECONDS, and systemd waits a little longer. */
  readonly drainSeconds: number;

  /**
   * The rest of the worker's environment.
   *
   * Anybody who may describe the launch template reads it: names and addresses, never a secret.
   */
  readonly environment: Readonly<Record<string, string>>;
}

/** What a worker may take beyond its drain, for its last lines; then systemd kills it, and SQS hands out again what it held. */
const STOP_MARGIN_SECONDS = 30;
/** Long enough that a worker whose database is away does not fill the journal, short beside a visibility timeout. */
const RESTART_DELAY_SECONDS = 5;
/**
 * A failed instance stays for this long, so that a person can read its console; shorter than the group's warm-up of
 * three minutes, or a refresh would count it as healthy and stop the one that works.
 */
const FAILED_SETUP_STAYS_MINUTES = 2;

/** The variables of `fleet`, in the order in which they are written: facts first, then the environment by name. */
export function fleetVariables(fleet: FleetDescription): Record<string, string> {
  if (!/^[a-z][a-z0-9-]*$/.test(fleet.name)) {
    throw new Error(
      `fleet ${JSON.stringify(fleet.name)}: the name cannot be used; allowed: lower-case letters, digits and -, a letter first`,
    );
  }
  const variables: Record<string, string> = {
    FLEET_NAME: fleet.name,
    FLEET_ENTRY: fleet.entry,
    FLEET_BUNDLE_BUCKET: fleet.bundleBucket,
    FLEET_BUNDLE_KEY: fleet.bundleKey,
    FLEET_LOG_GROUP: fleet.logGroupName,
    FLEET_MINIMUM: String(fleet.minimum),
    FLEET_MAXIMUM: String(fleet.maximum),
  };
  for (const [name, value] of workerEnvironment(fleet)) variables[name] = value;
  for (const [name, value] of Object.entries(variables)) checkValue(fleet.name, name, value);
  return variables;
}

/** The user data of an instance of `fleet`: a token that resolves to Fn::Sub of the script and its variables. */
export function fleetUserData(fleet: FleetDescription): string {
  return Fn.sub(fleetScript(fleet), fleetVariables(fleet));
}

/** The script that makes an instance a worker, with ${NAME} for each variable and ${!NAME} for the shell's own. */
export function fleetScript(fleet: FleetDescription): string {
  const environmentLines = workerEnvironment(fleet).map(([name]) => `${name}=\${${name}}`);
  return `#!/bin/bash
# Makes this instance a worker of the fleet \${FLEET_NAME}. Runs once, as root, at the first boot.
set -euo pipefail

# An instance that could not be set up must not pass for a worker: the group replaces one that is off.
trap 'echo "sluice: setup failed at line $LINENO" >&2; shutdown --poweroff +${FAILED_SETUP_STAYS_MINUTES}' ERR

dnf install --assumeyes --quiet nodejs24 unzip ${LOG_AGENT_PACKAGES.join(' ')}

useradd --system --user-group --no-create-home --shell /sbin/nologin sluice
install --directory --mode 0755 /etc/sluice /opt/sluice '/opt/sluice/\${FLEET_NAME}'

aws s3 cp --only-show-errors 's3://\${FLEET_BUNDLE_BUCKET}/\${FLEET_BUNDLE_KEY}' /opt/sluice/bundle.zip
unzip -q -o /opt/sluice/bundle.zip -d '/opt/sluice/\${FLEET_NAME}'
rm /opt/sluice/bundle.zip
chmod --recursive u=rwX,go=rX '/opt/sluice/\${FLEET_NAME}'

# The quoted word keeps the shell out of what follows: a dollar sign in a value stays one.
cat > /etc/sluice/worker.env <<'END_OF_ENVIRONMENT'
${environmentLines.join('\n')}
END_OF_ENVIRONMENT

${logAgentScript()}
cat > /etc/systemd/system/sluice-worker.service <<'END_OF_UNIT'
${workerUnit(fleet)}END_OF_UNIT

systemctl daemon-reload
systemctl enable --now sluice-worker.service
`;
}

/** Nothing here forbids memory that is writable and executable: V8 compiles into it. */
function workerUnit(fleet: FleetDescription): string {
  return `[Unit]
Description=Sluice worker \${FLEET_NAME}, one of \${FLEET_MINIMUM} to \${FLEET_MAXIMUM} instances
Wants=network-online.target
After=network-online.target
${LOG_UNIT_ORDER}
# Restart for as long as it takes: a database may be away for hours.
StartLimitIntervalSec=0

[Service]
Type=simple
User=sluice
Group=sluice
EnvironmentFile=/etc/sluice/worker.env
WorkingDirectory=/opt/sluice/\${FLEET_NAME}
ExecStart=/usr/bin/node-24 /opt/sluice/\${FLEET_NAME}/\${FLEET_ENTRY}
${LOG_UNIT_LINES}
Restart=always
RestartSec=${RESTART_DELAY_SECONDS}
KillSignal=SIGTERM
TimeoutStopSec=${fleet.drainSeconds + STOP_MARGIN_SECONDS}
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
PrivateTmp=yes
PrivateDevices=yes
RestrictSUIDSGID=yes
CapabilityBoundingSet=

[Install]
WantedBy=multi-user.target
`;
}

function workerEnvironment(fleet: FleetDescription): [name: string, value: string][] {
  const environment = { ...fleet.environment, DRAIN_SECONDS: String(fleet.drainSeconds) };
  const variables = Object.entries(environment).sort(([one], [other]) => (one < other ? -1 : 1));
  for (const [name] of variables) {
    if (!/^[A-Z][A-Z0-9_]*$/.test(name) || name.startsWith('FLEET_')) {
      throw new Error(
        `fleet ${fleet.name}: ${JSON.stringify(name)} cannot name a variable; allowed: capitals, digits and _, a capital first, not beginning with FLEET_`,
      );
    }
  }
  return variables;
}

/** Shell, systemd and Fn::Sub each quote in their own way: a value that needs no quoting means the same in all three. */
function checkValue(fleetName: string, name: string, value: string): void {
  // What is known only at deployment, a queue's URL or an ARN, stands in the value as a marker without any of these.
  if (/[\p{Cc}'"`\\]/u.test(value) || value.trim() !== value) {
    throw new Error(
      `fleet ${fleetName}: ${name} is ${JSON.stringify(value)}; allowed: no quotes, backslashes, control characters such as a newline, or blanks at either end`,
    );
  }
}
