/** The SDK signs every request, even where nobody checks it: a machine without credentials gets some that mean nothing. */

export interface Credentials {
  /** For the SDK clients of the run; undefined leaves it to the SDK's own chain. */
  readonly provider: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  /** For the workers' environment. */
  readonly environment: Readonly<Record<string, string>>;
}

const CREDENTIAL_VARIABLES =
  /^AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|PROFILE|CONFIG_FILE|SHARED_CREDENTIALS_FILE)$/;

export function credentialsFrom(environment: NodeJS.ProcessEnv): Credentials {
  const given = Object.entries(environment).flatMap(([name, value]) =>
    CREDENTIAL_VARIABLES.test(name) && value !== undefined ? [[name, value] as const] : [],
  );
  if (given.length > 0) return { provider: undefined, environment: Object.fromEntries(given) };
  return {
    provider: { accessKeyId: 'local', secretAccessKey: 'local' },
    environment: { AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local' },
  };
}
