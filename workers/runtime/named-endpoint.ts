/**
 * Whether the environment names the server that takes the place of SQS.
 *
 * Such a server may hand out queue URLs with a host of its own, which no name server knows: then a URL says which queue is
 * meant, and not where it is.
 */
export function namesSqsEndpoint(environment: NodeJS.ProcessEnv): boolean {
  return Boolean(environment.AWS_ENDPOINT_URL_SQS || environment.AWS_ENDPOINT_URL);
}
