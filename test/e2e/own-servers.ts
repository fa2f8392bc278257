/** Servers that are there before a run, in the place of those that it would start. */
import { afterAll, beforeAll } from '@jest/globals';
import type { EmbeddedPostgres } from '../../local/machine/embedded-postgres.ts';
import { type EmbeddedSqs, startEmbeddedSqs } from '../../local/machine/embedded-sqs.ts';
import { createRunFolder, type RunFolder } from '../../local/machine/run-folder.ts';
import { startMadePostgres } from '../local/machine/made-postgres.ts';

/** What a run is told of them; filled before the first test. */
export type OwnServers = Readonly<Record<'DATABASE_URL' | 'AWS_ENDPOINT_URL', string>>;

/** Of a file, each run on what the runs before it left. */
export function serversForTests(): OwnServers {
  const servers = { DATABASE_URL: '', AWS_ENDPOINT_URL: '' };
  let run: RunFolder;
  let postgres: EmbeddedPostgres;
  let sqs: EmbeddedSqs;
  beforeAll(async () => {
    run = createRunFolder();
    [postgres, sqs] = await Promise.all([startMadePostgres({ run }), startEmbeddedSqs({ run })]);
    servers.DATABASE_URL = postgres.url;
    servers.AWS_ENDPOINT_URL = sqs.endpoint;
  });
  afterAll(async () => {
    await Promise.all([postgres.stop(), sqs.stop()]);
    await run.close();
  });
  return servers;
}
