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
import { INSTANCE_PACKAGES } from './fleet-programs.ts';
import { giveUpScript, unitScript } from './fleet-unit.ts';
import { logAgentScript } from './log-agent.ts';

export interface FleetDescription {
  /** Name of the fleet: lower-case letters, digits and hyphens, a letter first. */
  readonly name: string;

  /** The file of the bundle that Node runs. */
  readonly entry: string;

  /** Bucket of the bundle, a zip file. */
  readonly bundleBucket: string;

  /** Key of the bundle in its bucket. */
  readonly bundleKey: string;

  /** Auto Scaling group that the instances are in. */
  readonly groupName: string;

  /** Hook of the group that waits until the worker is ready. */
  readonly launchHookName: string;

  /** Hook of the group that waits until the worker has drained. */
  readonly terminationHookName: string;

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
    FLEET_GROUP: fleet.groupName,
    FLEET_LAUNCH_HOOK: fleet.launchHookName,
    FLEET_TERMINATION_HOOK: fleet.terminationHookName,
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

${giveUpScript()}
dnf install --assumeyes --quiet ${INSTANCE_PACKAGES.join(' ')}

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
${unitScript(fleet.drainSeconds)}`;
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
