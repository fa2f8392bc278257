/** The server that takes the place of SQS is named by a URL, or not at all. */
import { describe, expect, test } from '@jest/globals';
import { namedSqs } from '../../local/named-sqs.ts';

describe('the server that the environment names for SQS', () => {
  test.each([
    [{}, undefined],
    [{ AWS_ENDPOINT_URL: '' }, undefined],
    [{ AWS_ENDPOINT_URL: 'http://127.0.0.1:9324/' }, 'http://127.0.0.1:9324/'],
    [{ AWS_ENDPOINT_URL: 'http://one', AWS_ENDPOINT_URL_SQS: 'https://other' }, 'https://other'],
  ])('in %j', (environment, endpoint) => expect(namedSqs(environment)).toBe(endpoint));

  test.each([
    ['AWS_ENDPOINT_URL', '127.0.0.1:9324'],
    ['AWS_ENDPOINT_URL_SQS', 'localhost:9324'],
  ])('in %s lacks the scheme, and is told so', (name, value) => {
    expect(() => namedSqs({ [name]: value })).toThrow(
      `${name} is ${value}, which is not the URL of a server. Put http:// before it: http://${value}`,
    );
  });

  test('is no URL even with a scheme', () => {
    expect(() => namedSqs({ AWS_ENDPOINT_URL: 'http://' })).toThrow(
      'AWS_ENDPOINT_URL is http://, which is not the URL of a server, such as http://127.0.0.1:9324. Correct it, or unset it.',
    );
  });
});
