/** The command against a Systems Manager that answers on loopback, and a file of its own. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from '@jest/globals';
import { checkedImages, imagesOf } from '../../lib/images.ts';
import { portOf } from '../../local/machine/ports.ts';
import { pinImage } from '../../local/pin-image.ts';
import { setEnvironment } from '../environment.ts';
import { afterwards, temporaryFolder } from './machine/machine.ts';

const NEWEST = 'ami-0123456789abcdef0';

async function makeParameters(value: string | undefined) {
  const asked: unknown[] = [];
  const server = createServer(async (request, response) => {
    asked.push(JSON.parse(await text(request)));
    response.setHeader('Content-Type', 'application/x-amz-json-1.1');
    if (value === undefined) response.writeHead(400).end('{"__type":"ParameterNotFound","message":"there is none"}');
    else response.end(JSON.stringify({ Parameter: { Name: 'image', Type: 'String', Value: value } }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterwards(() => server.close());
  setEnvironment({
    AWS_ENDPOINT_URL_SSM: `http://127.0.0.1:${portOf(server)}`,
    AWS_ACCESS_KEY_ID: 'none',
    AWS_SECRET_ACCESS_KEY: 'none',
  });
  return asked;
}

async function pin(before: string, { region = 'eu-central-1' }: { readonly region?: string } = {}) {
  const folder = await temporaryFolder();
  const file = join(folder, 'images.json');
  await writeFile(file, before);
  const output = new PassThrough();
  const failure = await pinImage({ stage: 'dev', region, output, file }).then(
    () => undefined,
    (error: unknown) => error,
  );
  output.end();
  expect(await readdir(folder)).toEqual(['images.json']);
  return { said: await text(output), after: await readFile(file, 'utf8'), failure };
}

describe('pinning a stage to an image', () => {
  test('writes the newest of the region, and leaves every other pin as it is', async () => {
    const asked = await makeParameters(NEWEST);
    const { said, after, failure } = await pin(
      '{"prod": {"eu-west-1": "ami-11111111"}, "dev": {"us-east-1": "ami-22222222", "eu-central-1": "ami-33333333"}}',
    );
    expect(failure).toBeUndefined();
    expect(asked).toEqual([{ Name: '/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-arm64' }]);
    expect(after).toBe(`{
  "dev": {
    "eu-central-1": "${NEWEST}",
    "us-east-1": "ami-22222222"
  },
  "prod": {
    "eu-west-1": "ami-11111111"
  }
}
`);
    expect(said).toBe(
      `dev in eu-central-1 is pinned to ${NEWEST}, no longer to ami-33333333; the next deploy of sluice-dev-compute replaces its instances\n`,
    );
  });

  test('changes nothing when the newest is pinned already', async () => {
    await makeParameters(NEWEST);
    const before = `{"dev":{"eu-central-1":"${NEWEST}"}}`;
    const { said, after } = await pin(before);
    expect(after).toBe(before);
    expect(said).toBe(`dev in eu-central-1 is pinned to the newest image already: ${NEWEST}\n`);
  });

  test.each<[string, string | undefined, string, RegExp]>([
    [
      'there is no such parameter',
      undefined,
      'eu-central-1',
      /^cannot ask AWS for the newest image, so .*: there is none\. Name another region than eu-central-1 with/,
    ],
    [
      'what is there is no image',
      'al2023',
      'eu-central-1',
      /: "al2023" is not the id of an image such as ami-0123456789abcdef0\. Name/,
    ],
    [
      'the region is none',
      NEWEST,
      'Frankfurt',
      /: "Frankfurt" is not a region such as eu-central-1\. Name another region with/,
    ],
  ])('changes nothing when %s', async (_, value, region, reason) => {
    await makeParameters(value);
    const { after, failure } = await pin('{}', { region });
    expect((failure as Error).message).toMatch(reason);
    expect(after).toBe('{}');
  });
});

test('who has no credentials is told so, and not to name the region that was given', async () => {
  setEnvironment({
    AWS_ACCESS_KEY_ID: '',
    AWS_SECRET_ACCESS_KEY: '',
    AWS_PROFILE: '',
    AWS_CONFIG_FILE: '/nowhere',
    AWS_SHARED_CREDENTIALS_FILE: '/nowhere',
    // An instance's own credentials are asked for over the network.
    AWS_EC2_METADATA_DISABLED: 'true',
  });
  const { failure } = await pin('{}');
  expect((failure as Error).message).toMatch(/: Could not load credentials from any providers\. Set AWS_PROFILE, or /);
});

describe('the file of pinned images', () => {
  test.each([
    ['a stage that is none', { staging: {} }],
    ['a region that is none', { dev: { Frankfurt: NEWEST } }],
    ['an image that is none', { dev: { 'eu-central-1': 'latest' } }],
    ['what is no object', [NEWEST]],
    ['what is not JSON', undefined],
  ])('is refused with %s', (_, candidate) => {
    expect(() => checkedImages(candidate)).toThrow(
      /^lib\/images\.json: .*\. Run `sluice image` to pin a stage anew\.$/s,
    );
  });

  test('says what a stage is pinned to, and of one that it does not name that it is not', () => {
    const images = { dev: { 'eu-central-1': NEWEST } };
    expect(imagesOf('dev', images)).toEqual({ 'eu-central-1': NEWEST });
    expect(imagesOf('prod', images)).toEqual({});
  });
});
