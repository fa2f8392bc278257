/** What a person is told when a run stands: what runs where, and what to try. */
import type { ResourceTypeCount } from './assembly/resource-types.ts';
import type { System } from './assembly/system.ts';
import { labelled } from './eighty-columns.ts';
import type { LocalFleet } from './fleet.ts';
import { type PostgresServer, withoutPassword } from './servers.ts';

/** The longest command and a gap. */
const COMMAND_COLUMNS = 37;

export interface AnnouncementFacts {
  readonly stage: string;
  readonly system: System;
  readonly resources: readonly ResourceTypeCount[];
  readonly sqsEndpoint: string;
  readonly postgres: Pick<PostgresServer, 'url' | 'pid'>;
  readonly migrated: string;
  /** Workers per fleet, in the order of the system's fleets. */
  readonly workers: readonly number[];
  readonly logs: string;
}

export function announcement(facts: AnnouncementFacts): string {
  const { stage, system, resources, sqsEndpoint, postgres, migrated, workers, logs } = facts;
  const count = (runsHere: boolean) =>
    resources.filter((type) => type.runsHere === runsHere).reduce((sum, type) => sum + type.count, 0);
  const workQueues = system.queues.filter(({ deadLetterQueueName }) => deadLetterQueueName !== undefined);
  const fleets = system.fleets.map(
    ({ name, minimum, maximum }, index) => `${name} ${workers[index]} of ${minimum}–${maximum}`,
  );
  const lines = [
    labelled(
      'SQS',
      `${sqsEndpoint}\n${workQueues.map(({ name }) => name).join(', ')}\nand a dead-letter queue of each`,
    ),
    labelled('PostgreSQL', `${addressOf(postgres)}\n${migrated}`),
    labelled('fleets', fleets.join(' · ')),
    labelled('logs', logs),
  ];
  return `Sluice · stage ${stage} · ${count(true)} resources run here, ${count(false)} need AWS\n\n${lines.join('\n')}\n`;
}

/** Processes by their pids, so that whoever copies a line hits nothing but this run. */
export function hints(
  postgres: Pick<PostgresServer, 'pid'>,
  [fleet]: readonly Pick<LocalFleet, 'name' | 'pids'>[],
): string {
  const hint = (command: string, what: string) => `  ${command.padEnd(COMMAND_COLUMNS)}${what}\n`;
  const killHint = (pid: number | undefined, what: string) => (pid === undefined ? '' : hint(`kill -9 ${pid}`, what));
  return [
    'Ctrl-C stops and clears away. From another terminal:\n',
    killHint(fleet?.pids[0], `kill a worker of ${fleet?.name}: nothing is lost`),
    killHint(postgres.pid, 'kill PostgreSQL, and see it come back'),
    hint('npm run sluice -- send FILE --local', 'send a file of your own'),
    hint('npm run sluice -- resources', 'what of the template runs here, or not'),
  ].join('');
}

/** What psql takes. Only of a database that goes with the run is the password anyone's to see. */
function addressOf({ url, pid }: AnnouncementFacts['postgres']): string {
  if (pid === undefined) return withoutPassword(url);
  const address = new URL(url);
  // That there is no TLS psql finds out by itself.
  address.search = '';
  return address.toString();
}
