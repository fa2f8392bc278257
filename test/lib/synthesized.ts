/**
 * An app synthesized as `cdk synth` does it, in memory: same flags, no bundles, and nothing left behind.
 *
 * Bundles are skipped because a template says nothing about them but a hash; worker-bundle.test.ts builds them.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { ANNOTATIONS_IN_VALIDATION_REPORT, DISABLE_CREATION_STACK_TRACES } from 'aws-cdk-lib/cx-api';
import { z } from 'zod';
import cdkJson from '../../cdk.json' with { type: 'json' };
import { buildApp } from '../../lib/app.ts';
import { configurationOf } from '../../lib/config.ts';

const resourceSchema = z.looseObject({
  Type: z.string(),
  Properties: z.record(z.string(), z.unknown()).default({}),
  DeletionPolicy: z.string().optional(),
});
const templateSchema = z.looseObject({ Resources: z.record(z.string(), resourceSchema).default({}) });
const manifestSchema = z.looseObject({ missing: z.array(z.unknown()).default([]) });

export type Template = z.infer<typeof templateSchema>;

/** A resource with where it is, so that a failing assertion names it. */
export interface Resource {
  readonly stack: string;
  readonly id: string;
  readonly type: string;
  readonly properties: Record<string, unknown>;
  /** What becomes of it when it leaves the template; the default is CloudFormation's. */
  readonly deletionPolicy: string | undefined;
}

export interface Synthesized {
  /** By stack name. */
  readonly templates: Record<string, Template>;
  readonly resources: readonly Resource[];
  /** What the app would have had to look up in an account. */
  readonly missing: readonly unknown[];
  /** Templates and asset lists, byte for byte, by file name. */
  readonly files: Record<string, string>;
}

/** The app of `stage`. Validation costs seconds and changes no byte: on for the test that is about it. */
export function synthesizedStage(stage: string, options: { readonly validate?: boolean } = {}): Synthesized {
  return synthesized((app) => buildApp(app, configurationOf(stage)), options);
}

/** Whatever `build` puts into an app with the project's flags. */
export function synthesized(
  build: (app: App) => void,
  { validate = false }: { readonly validate?: boolean } = {},
): Synthesized {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  try {
    const app = new App({
      outdir: folder,
      autoSynth: false,
      builtinCloudFormationValidation: validate,
      // Where each resource was created stands beside the template, and to find that out costs more in Jest than anywhere.
      context: {
        ...cdkJson.context,
        'aws:cdk:bundling-stacks': [],
        [DISABLE_CREATION_STACK_TRACES]: true,
        // Or every warning is written to the terminal; they stay in the app, where a test that is about one finds it.
        [ANNOTATIONS_IN_VALIDATION_REPORT]: validate,
      },
    });
    build(app);
    app.synth();
    return readAssembly(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readAssembly(folder: string): Synthesized {
  const names = readdirSync(folder).filter((name) => /\.(template|assets)\.json$/.test(name));
  const files = Object.fromEntries(names.sort().map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
  const templates: Record<string, Template> = {};
  for (const [name, text] of Object.entries(files)) {
    if (name.endsWith('.template.json')) {
      templates[name.replace('.template.json', '')] = templateSchema.parse(JSON.parse(text));
    }
  }
  const resources = Object.entries(templates).flatMap(([stack, template]) =>
    Object.entries(template.Resources).map(([id, resource]) => ({
      stack,
      id,
      type: resource.Type,
      properties: resource.Properties,
      deletionPolicy: resource.DeletionPolicy,
    })),
  );
  const { missing } = manifestSchema.parse(JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')));
  return { templates, resources, missing, files };
}

/** A value, and the key that it stands under; elements of a list stand under that of the list. */
export interface Within {
  readonly key: string;
  readonly value: unknown;
}

/** Every value in `root`, `root` first. */
export function valuesIn(root: unknown, key = ''): readonly Within[] {
  const values: Within[] = [];
  collect(root, key, values);
  return values;
}

function collect(value: unknown, key: string, values: Within[]): void {
  values.push({ key, value });
  if (typeof value !== 'object' || value === null) return;
  const isList = Array.isArray(value);
  for (const name of Object.keys(value)) collect(Reflect.get(value, name), isList ? key : name, values);
}
