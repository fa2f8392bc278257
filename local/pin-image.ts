/**
 * `sluice image`: pins a stage to the newest Amazon Linux 2023 of a region, by writing lib/images.json.
 *
 * Holds always: the file changes only after AWS has named an image; every other pin in it stays as it is; the same pins
 * are the same bytes.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { GetParameterCommand, ParameterNotFound, SSMClient, SSMServiceException } from '@aws-sdk/client-ssm';
import type { z } from 'zod';
import type { Stage } from '../lib/config.ts';
import { IMAGE_PARAMETER } from '../lib/constructs/image-parameter.ts';
import { checkedImages, type Images, imageIdSchema, regionSchema } from '../lib/images.ts';
import { parsedJson } from './json-text.ts';

const CONNECT_MS_MAX = 5_000;
const REQUEST_MS_MAX = 15_000;

export interface PinImageOptions {
  readonly stage: Stage;
  /** @default that of the AWS SDK */
  readonly region: string | undefined;
  readonly output: NodeJS.WritableStream;
  /** @default lib/images.json */
  readonly file?: string;
}

/** @throws Error in one sentence; then the file is as it was. */
export async function pinImage(options: PinImageOptions): Promise<void> {
  const { stage, output, file = fileURLToPath(new URL('../lib/images.json', import.meta.url)) } = options;
  const images = checkedImages(parsedJson(await readFile(file, 'utf8')));
  const { region, imageId } = await newestImage(options.region);
  const before = images[stage]?.[region];
  if (before === imageId) {
    output.write(`${stage} in ${region} is pinned to the newest image already: ${imageId}\n`);
    return;
  }
  await writeImages(file, { ...images, [stage]: { ...images[stage], [region]: imageId } });
  output.write(
    `${stage} in ${region} is pinned to ${imageId}${before === undefined ? '' : `, no longer to ${before}`}; the next deploy of sluice-${stage}-compute replaces its instances\n`,
  );
}

async function newestImage(wanted: string | undefined): Promise<{ region: string; imageId: string }> {
  const client = new SSMClient({
    ...(wanted === undefined ? {} : { region: wanted }),
    requestHandler: {
      connectionTimeout: CONNECT_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      throwOnRequestTimeout: true,
    },
  });
  let region: string | undefined;
  try {
    region = known(regionSchema, await client.config.region());
    const { Parameter: parameter } = await client.send(new GetParameterCommand({ Name: IMAGE_PARAMETER }));
    return { region, imageId: known(imageIdSchema, parameter?.Value) };
  } catch (cause) {
    const reason = (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, '');
    throw new Error(
      `cannot ask AWS for the newest image, so lib/images.json is as it was: ${reason}. ${adviceFor(cause, region, wanted)}`,
      { cause },
    );
  } finally {
    client.destroy();
  }
}

/** @param region undefined where there was none to ask in. */
function adviceFor(cause: unknown, region: string | undefined, wanted: string | undefined): string {
  if (region === undefined) return `Name ${wanted === undefined ? 'a' : 'another'} region with --region.`;
  const named = cause instanceof Error ? cause.name : '';
  if (named === 'CredentialsProviderError') {
    return 'Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, of somebody who may call ssm:GetParameter.';
  }
  if (cause instanceof UnusableValueError || cause instanceof ParameterNotFound) {
    return `Name another region than ${region} with --region.`;
  }
  if (cause instanceof SSMServiceException) return 'Have credentials that are valid and may call ssm:GetParameter.';
  return `Check that there is a region ${region}, and a way to it.`;
}

/** It is not what it has to be. */
class UnusableValueError extends Error {}

function known(schema: z.ZodString, value: unknown): string {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new UnusableValueError(`${JSON.stringify(value)} is not ${result.error.issues[0]!.message}`);
}

/** Sorted, so that a commit shows what changed and nothing else. A file that is half written would end every synthesis. */
async function writeImages(file: string, images: Images): Promise<void> {
  const sorted = Object.entries(images)
    .sort()
    .map(([stage, pins]) => [stage, Object.fromEntries(Object.entries(pins ?? {}).sort())]);
  const draft = `${file}.new`;
  await writeFile(draft, `${JSON.stringify(Object.fromEntries(sorted), null, 2)}\n`);
  await rename(draft, file);
}
