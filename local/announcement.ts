/** What a person is told when a run stands: what runs where, and what to try. Lines of at most 80 columns where they can be. */
import type { ResourceTypeCount } from './assembly/resource-types.ts';
import type { System } from './assembly/system.ts';
import { withoutPassword } from './servers.ts';

export interface AnnouncementFacts {
  readonly stage: string;
  readonly system: System;
  readonly resources: readonly ResourceTypeCount[];
  readonly sqsEndpoint: string;
  readonly databaseUrl: string;
  /** Only of a database that goes with the run is the password anyone's to see. */
  readonly databaseIsEmbedded: boolean;
  readonly migrated: string;
  /** Workers per fleet, in the order of the system's fleets. */
  readonly workers: readonly number[];
  readonly logs: string;
}

export function announcement(facts: AnnouncementFacts): string {
  const { stage, system, resources, sqsEndpoint, databaseUrl, databaseIsEmbedded, migrated, workers, logs } = facts;
  const count = (runsHere: boolean) =>
    resources.filter((type) => type.runsHere === runsHere).reduce((sum, type) => sum + type.count, 0);
  const workQueues = system.queues.filter(({ deadLetterQueueName }) => deadLetterQueueName !== undefined);
  const fleets = system.fleets.map(
    ({ name, minimum, maximum }, index) => `${name} ${workers[index]} of ${minimum}–${maximum}`,
  );
  return `Sluice · stage ${stage} · ${count(true)} resources run here, ${count(false)} need AWS

  SQS         ${sqsEndpoint}
              ${workQueues.map(({ name }) => name).join(', ')} and their dead-letter queues
  PostgreSQL  ${databaseIsEmbedded ? addressOf(databaseUrl) : withoutPassword(databaseUrl)}
              ${migrated}
  fleets      ${fleets.join(' · ')}
  logs        ${logs}
`;
}

export const HINTS = `Ctrl-C stops and clears away. From another terminal:
  pkill -9 -f ^sluice-orders             kill the orders workers, and see nothing lost
  npm run sluice -- send FILE --local    send a file of your own
  npm run sluice -- resources            what of the template runs here, and what does not
`;

/** What psql takes; that there is no TLS it finds out by itself. */
function addressOf(databaseUrl: string): string {
  const address = new URL(databaseUrl);
  address.search = '';
  return address.toString();
}
