/**
 * What the owner of the database logs in with: the password that RDS made, keeps in Secrets Manager and rotates, and where
 * the database does not take that, a token.
 *
 * The owner makes the role that workers log in as, which is a member of `rds_iam`, and whoever makes a role becomes a member
 * of it (PostgreSQL since 16). RDS asks members of `rds_iam` for tokens, also those who are members by way of another role
 * (RDS User Guide, "Database authentication"). Whether it counts this membership nobody has seen; either way the owner gets
 * in.
 *
 * Only the migration step has either: workers have no password.
 */
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { z } from 'zod';
import { type Login, loginToken } from '../store/login-token.ts';

const secretSchema = z.object({ password: z.string().min(1) });

/** What to give pg as the password: of two that are asked for one after the other, the first is from the secret. */
export function ownerPassword({ secretArn, ...login }: Login & { readonly secretArn: string }): () => Promise<string> {
  const fromSecret = secretPassword(secretArn, login.region);
  const token = loginToken(login);
  let asked = 0;
  return () => {
    asked += 1;
    return asked % 2 === 1 ? fromSecret() : token();
  };
}

function secretPassword(secretArn: string, region: string | undefined): () => Promise<string> {
  const client = new SecretsManagerClient({
    ...(region === undefined ? {} : { region }),
    requestHandler: { connectionTimeout: 3_000, requestTimeout: 5_000, throwOnRequestTimeout: true },
  });
  return async () => {
    const { SecretString: text } = await client.send(new GetSecretValueCommand({ SecretId: secretArn }));
    return passwordIn(text ?? '', secretArn);
  };
}

/** Without the cause: what cannot be read would stand in it, and might be the password. */
function passwordIn(text: string, secretArn: string): string {
  try {
    return secretSchema.parse(JSON.parse(text)).password;
  } catch {
    throw new Error(`the secret ${secretArn} holds no password as RDS writes it; let RDS manage the master password`);
  }
}
