/** The server that takes the place of SQS, as the environment names it for the SDK. */

const NAMES = ['AWS_ENDPOINT_URL_SQS', 'AWS_ENDPOINT_URL'];

/**
 * Undefined where none is named; set and empty counts as that.
 *
 * @throws Error in one sentence when what is named is no URL of a server.
 */
export function namedSqs(environment: NodeJS.ProcessEnv): string | undefined {
  const name = NAMES.find((candidate) => environment[candidate]);
  const value = name === undefined ? undefined : environment[name];
  if (value === undefined || isServerUrl(value)) return value;
  const withScheme = `http://${value}`;
  const isWanted = 'which is not the URL of a server';
  throw new Error(
    !value.includes('://') && isServerUrl(withScheme)
      ? `${name} is ${value}, ${isWanted}. Put http:// before it: ${withScheme}`
      : `${name} is ${value}, ${isWanted}, such as http://127.0.0.1:9324. Correct it, or unset it.`,
  );
}

function isServerUrl(value: string): boolean {
  return /^https?:\/\//.test(value) && URL.canParse(value);
}
