/**
 * The password of a worker on AWS: a token that is signed with the credentials of its instance and good for one login within
 * 15 minutes. Nobody keeps it, and nothing has to be rotated.
 *
 * Holds always: a token is made for each connection and goes to PostgreSQL alone; it is in no error and no log line.
 */
import { Signer } from '@aws-sdk/rds-signer';

export interface Login {
  /** As RDS names it: the token is for this name, and for no alias of it. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly region: string | undefined;
}

/** Of an error whose reason may go away: the role of an instance may be there a moment after its first process. */
const CREDENTIALS_ERROR = 'CredentialsProviderError';

/** What to give pg as the password. */
export function loginToken({ host, port, user, region }: Login): () => Promise<string> {
  const signer = new Signer({ hostname: host, port, username: user, ...(region === undefined ? {} : { region }) });
  return async () => {
    try {
      return await signer.getAuthToken();
    } catch (cause) {
      throw withoutToken(user, cause);
    }
  };
}

function withoutToken(user: string, cause: unknown): Error {
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (cause instanceof Error && cause.name === CREDENTIALS_ERROR) {
    const error = new Error(
      `no AWS credentials to log in as ${user} with; give the instance its role, or set DATABASE_URL (${reason})`,
      { cause },
    );
    error.name = CREDENTIALS_ERROR;
    return error;
  }
  return new Error(`cannot make a token to log in as ${user} with: ${reason}`, { cause });
}
