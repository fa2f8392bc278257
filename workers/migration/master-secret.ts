/**
 * The password of the master user, which RDS made, keeps in Secrets Manager and rotates.
 *
 * Only the migration step reads it: workers have none.
 */
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { z } from 'zod';

const secretSchema = z.object({ password: z.string().min(1) });

/** What to give pg as the password. */
export function masterPassword(secretArn: string, region: string | undefined): () => Promise<string> {
  const client = new SecretsManagerClient({
    ...(region === undefined ? {} : { region }),
    requestHandler: { connectionTimeout: 3_000, requestTimeout: 5_000, throwOnRequestTimeout: true },
  });
  return async () => {
    const { SecretString: text } = await client.send(new GetSecretValueCommand({ SecretId: secretArn }));
    return secretSchema.parse(JSON.parse(text ?? '{}')).password;
  };
}
