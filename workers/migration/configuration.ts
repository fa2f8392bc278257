/** What the migration step is told by its environment. The construct that makes the function writes it. */
import { z } from 'zod';
import type { Database } from '../store/connection.ts';
import { ownerPassword } from './owner-password.ts';

const environmentSchema = z.object({
  AWS_REGION: z.string().min(1).optional(),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  PGHOST: z.string().min(1).optional(),
  PGPORT: z.coerce.number().int().min(1).max(65_535).default(5432),
  PGDATABASE: z.string().min(1).default('sluice'),
  PGUSER: z.string().min(1).default('sluice'),
  DATABASE_SECRET_ARN: z.string().min(1).optional(),
});

/** As the owner, who may change the schema. @throws Error naming every variable that is missing or wrong. */
export function readMigrationConfiguration(environment: NodeJS.ProcessEnv): Database {
  const parsed = environmentSchema.safeParse(environment);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw new Error(`cannot migrate, because the environment is wrong: ${faults.join('; ')}`);
  }
  const { DATABASE_URL: url, PGHOST: host, DATABASE_SECRET_ARN: secretArn, ...values } = parsed.data;
  if (url !== undefined) return { name: 'url', url };
  if (host === undefined || secretArn === undefined) {
    throw new Error(
      'cannot migrate: the environment names no database; set PGHOST and DATABASE_SECRET_ARN, or DATABASE_URL',
    );
  }
  const login = { host, port: values.PGPORT, user: values.PGUSER, region: values.AWS_REGION };
  return {
    name: 'host',
    host,
    port: values.PGPORT,
    database: values.PGDATABASE,
    user: values.PGUSER,
    password: ownerPassword({ ...login, secretArn }),
    certificateFile: undefined,
  };
}
