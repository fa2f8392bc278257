/**
 * A synthesized cloud assembly, as it lies in a folder: its stacks, their templates and their assets.
 *
 * Reads only what CDK writes; knows nothing of what the resources mean.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';

const manifestSchema = z.object({
  artifacts: z
    .record(
      z.string(),
      z.object({
        type: z.string(),
        displayName: z.string().optional(),
        properties: z
          .object({
            templateFile: z.string().optional(),
            stackName: z.string().optional(),
            directoryName: z.string().optional(),
            file: z.string().optional(),
          })
          .optional(),
      }),
    )
    .default({}),
});

const resourceSchema = z.object({
  Type: z.string(),
  Properties: z.record(z.string(), z.unknown()).default({}),
});

const templateSchema = z.object({
  Resources: z.record(z.string(), resourceSchema).default({}),
  Parameters: z.record(z.string(), z.object({ Type: z.string(), Default: z.unknown().optional() })).default({}),
  Outputs: z
    .record(z.string(), z.object({ Value: z.unknown(), Export: z.object({ Name: z.unknown() }).optional() }))
    .default({}),
  Mappings: z.record(z.string(), z.unknown()).default({}),
});

const assetsSchema = z.object({
  files: z.record(z.string(), z.object({ source: z.object({ path: z.string() }) })).default({}),
});

export type Resource = z.infer<typeof resourceSchema>;
export type Template = z.infer<typeof templateSchema>;

export interface AssemblyStack {
  readonly stackName: string;
  readonly template: Template;
  /** Absolute paths of the file assets by their hash. */
  readonly assetPaths: ReadonlyMap<string, string>;
}

/** Stacks of the assembly and of the assemblies nested in it (a CDK Stage is one), in the order of the manifest. */
export function readAssembly(folder: string): AssemblyStack[] {
  const { artifacts } = readJson(join(folder, 'manifest.json'), manifestSchema);
  return Object.entries(artifacts).flatMap(([id, { type, properties = {} }]) => {
    if (type === 'cdk:cloud-assembly' && properties.directoryName !== undefined) {
      return readAssembly(join(folder, properties.directoryName));
    }
    if (type !== 'aws:cloudformation:stack' || properties.templateFile === undefined) return [];
    return [
      {
        stackName: properties.stackName ?? id,
        template: readJson(join(folder, properties.templateFile), templateSchema),
        assetPaths: readAssetPaths(folder, artifacts[`${id}.assets`]?.properties?.file),
      },
    ];
  });
}

function readAssetPaths(folder: string, file: string | undefined): Map<string, string> {
  if (file === undefined) return new Map();
  const { files } = readJson(join(folder, file), assetsSchema);
  return new Map(Object.entries(files).map(([hash, { source }]) => [hash, resolve(folder, source.path)]));
}

function readJson<Shape>(path: string, schema: z.ZodType<Shape>): Shape {
  try {
    return schema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    throw new Error(`cannot read ${path} of the synthesized assembly; synthesize again with npx cdk synth`, {
      cause: error,
    });
  }
}
