/**
 * The instance metadata service, in its second version: a session token is asked for with PUT and goes along with every
 * question.
 *
 * Node's own `fetch` would do, and cost a worker 25 MB. Each question has a connection of its own: one that hung would
 * otherwise be asked again.
 *
 * Holds always: a question ends within REQUEST_MS_MAX, whatever the service does, and reads no more than
 * ANSWER_BYTES_MAX; what is not there is undefined, and everything else that is not an answer is an error.
 */
import { type IncomingMessage, request } from 'node:http';

/** The service is on the same host and answers within milliseconds. */
const REQUEST_MS_MAX = 2_000;
/** The longest answer that is asked for is a JSON of two fields. */
const ANSWER_BYTES_MAX = 16_384;
/** The longest that the service gives out. */
const TOKEN_SECONDS = 21_600;
const STATUS_OK = 200;
const STATUS_UNAUTHORIZED = 401;
const STATUS_NOT_FOUND = 404;

interface Answer {
  readonly status: number;
  readonly text: string;
}

export class MetadataService {
  readonly #endpoint: string;
  #token: string | undefined;

  /** @param endpoint such as http://169.254.169.254 */
  constructor(endpoint: string) {
    this.#endpoint = endpoint;
  }

  /**
   * What is at `path`, such as `instance-id`; undefined when nothing is there yet.
   *
   * @throws Error when the service is away, slow, or answers anything else.
   */
  async read(path: string): Promise<string | undefined> {
    const isKnown = this.#token !== undefined;
    let answer = await this.#ask(path);
    // The token's time is over, or the service has forgotten it.
    if (answer.status === STATUS_UNAUTHORIZED && isKnown) {
      this.#token = undefined;
      answer = await this.#ask(path);
    }
    if (answer.status === STATUS_NOT_FOUND) return undefined;
    if (answer.status !== STATUS_OK) throw unexpected(path, answer.status);
    return answer.text;
  }

  async #ask(path: string): Promise<Answer> {
    this.#token ??= await this.#newToken();
    return answered(new URL(`/latest/meta-data/${path}`, this.#endpoint), 'GET', {
      'X-aws-ec2-metadata-token': this.#token,
    });
  }

  async #newToken(): Promise<string> {
    const path = '/latest/api/token';
    const { status, text } = await answered(new URL(path, this.#endpoint), 'PUT', {
      'X-aws-ec2-metadata-token-ttl-seconds': String(TOKEN_SECONDS),
      'Content-Length': '0',
    });
    // It becomes a header: what cannot be one is no token.
    if (status !== STATUS_OK || !/^[\x21-\x7e]+$/.test(text)) throw unexpected(path, status);
    return text;
  }
}

function unexpected(path: string, status: number): Error {
  return new Error(`the metadata service answered ${path} with status ${status} and nothing that can be used`);
}

function answered(url: URL, method: 'GET' | 'PUT', headers: Record<string, string>): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const outgoing = request(url, { method, headers, agent: false, signal: AbortSignal.timeout(REQUEST_MS_MAX) });
  // It stays for as long as the request: an abort after the answer began is told here too.
  outgoing.on('error', reject);
  outgoing.on('response', (response) => {
    textOf(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject);
  });
  outgoing.end();
  return promise;
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX)
      throw new Error(`the metadata service answered with more than ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
