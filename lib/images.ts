/**
 * The images that the stages are pinned to: lib/images.json, which `sluice image` writes and a commit shows.
 *
 * Holds always: what is in the file is the id of an image for a region of a stage that there is.
 */
import { z } from 'zod';
import { type Stage, stageNames } from './config.ts';
import type { PinnedImages } from './constructs/fleet-image.ts';
import imagesJson from './images.json' with { type: 'json' };
import { ConfigurationError } from './settings.ts';

const REGION = /^[a-z]{2}(-[a-z]+)+-\d$/;
const IMAGE_ID = /^ami-([0-9a-f]{8}|[0-9a-f]{17})$/;

export const regionSchema = z.string().regex(REGION, 'a region such as eu-central-1');
export const imageIdSchema = z.string().regex(IMAGE_ID, 'the id of an image such as ami-0123456789abcdef0');
const imagesSchema = z.partialRecord(z.enum(stageNames), z.record(regionSchema, imageIdSchema));

export type Images = Partial<Record<Stage, PinnedImages>>;

/**
 * The images of all stages, checked.
 *
 * @throws ConfigurationError naming each entry that is none.
 */
export function checkedImages(candidate: unknown): Images {
  const result = imagesSchema.safeParse(candidate);
  if (result.success) return result.data;
  const problems = result.error.issues.map(
    ({ path, message }) => `lib/images.json: ${path.join('.') || 'the file'} cannot be used; allowed: ${message}`,
  );
  throw new ConfigurationError(`${problems.join('\n')}. Run \`sluice image\` to pin a stage anew.`);
}

/** What a stage is pinned to; nothing where it is not. */
export function imagesOf(stage: string, images: unknown = imagesJson): PinnedImages {
  const named = stageNames.find((name) => name === stage);
  return named === undefined ? {} : (checkedImages(images)[named] ?? {});
}
