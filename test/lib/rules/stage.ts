/**
 * The templates of a stage, as rules look at them.
 *
 * A rule takes all templates of a stage and returns what it finds, each with its resource and a sentence; it neither
 * knows nor cares whether the CDK wrote the templates or somebody has spoilt them since. Ordinary tests hold every rule
 * to finding nothing, and planted defects to finding what was planted.
 */
import { z } from 'zod';
import type { StageConfiguration } from '../../../lib/settings.ts';
import { type Resource, type Template, valuesIn } from '../synthesized.ts';

export interface Finding {
  /** Stack and logical id, or what else the sentence is about. */
  readonly where: string;
  readonly problem: string;
}

export type Rule = (stage: Stage) => readonly Finding[];

const outputsSchema = z
  .record(z.string(), z.object({ Value: z.unknown(), Export: z.object({ Name: z.unknown() }).optional() }))
  .default({});
const userDataSchema = z.looseObject({
  UserData: z.object({
    'Fn::Base64': z.object({ 'Fn::Sub': z.tuple([z.string(), z.record(z.string(), z.unknown())]) }),
  }),
});
const dependsSchema = z.union([z.string().transform((one) => [one]), z.array(z.string())]).default([]);

/** A value and where in the templates it stands, after exports were followed. */
export interface Reference {
  readonly stack: string;
  readonly id: string;
  /** Undefined for `Ref`. */
  readonly attribute: string | undefined;
}

/** What instances of a fleet run, as its launch template says. */
export interface Fleet {
  readonly template: Resource;
  readonly name: string;
  readonly script: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

export class Stage {
  readonly configuration: StageConfiguration;
  readonly templates: Readonly<Record<string, Template>>;
  readonly resources: readonly Resource[];
  readonly #exports = new Map<unknown, { readonly stack: string; readonly value: unknown }>();
  readonly #byPlace: ReadonlyMap<string, Resource>;
  readonly #byType: ReadonlyMap<string, readonly Resource[]>;
  readonly #references = new Map<Resource, ReadonlySet<Resource>>();
  #fleets: readonly Fleet[] | undefined;

  constructor(configuration: StageConfiguration, templates: Readonly<Record<string, Template>>) {
    this.configuration = configuration;
    this.templates = templates;
    this.resources = Object.entries(templates).flatMap(([stack, { Resources }]) =>
      Object.entries(Resources).map(([id, { Type: type, Properties: properties, DeletionPolicy: deletionPolicy }]) => ({
        stack,
        id,
        type,
        properties,
        deletionPolicy,
      })),
    );
    this.#byPlace = new Map(this.resources.map((resource) => [`${resource.stack}/${resource.id}`, resource]));
    this.#byType = Map.groupBy(this.resources, ({ type }) => type);
    for (const [stack, template] of Object.entries(templates)) {
      for (const { Value: value, Export: exported } of Object.values(outputsSchema.parse(template.Outputs))) {
        if (exported !== undefined) this.#exports.set(exported.Name, { stack, value });
      }
    }
  }

  get name(): string {
    return this.configuration.stage;
  }

  of(...types: string[]): Resource[] {
    return types.flatMap((type) => this.#byType.get(type) ?? []);
  }

  named(stack: string, id: string): Resource | undefined {
    return this.#byPlace.get(`${stack}/${id}`);
  }

  /** An attribute of the resource beside its properties, such as `DeletionPolicy`. */
  attribute({ stack, id }: Pick<Resource, 'stack' | 'id'>, name: string): unknown {
    return this.templates[stack]?.Resources[id]?.[name];
  }

  dependencies(resource: Pick<Resource, 'stack' | 'id'>): readonly string[] {
    return dependsSchema.parse(this.attribute(resource, 'DependsOn'));
  }

  /** Where a reference ends, through exports too; undefined for what is no reference. */
  reference(stack: string, value: unknown): Reference | undefined {
    if (typeof value !== 'object' || value === null) return undefined;
    const ref = valueAt(value, 'Ref');
    if (typeof ref === 'string') return { stack, id: ref, attribute: undefined };
    const [id, attribute] = listOf(valueAt(value, 'Fn::GetAtt'));
    if (typeof id === 'string') return { stack, id, attribute: String(attribute) };
    const exported = this.#exports.get(valueAt(value, 'Fn::ImportValue'));
    return exported === undefined ? undefined : this.reference(exported.stack, exported.value);
  }

  /** The resource that a value refers to. */
  referred(stack: string, value: unknown): Resource | undefined {
    const reference = this.reference(stack, value);
    return reference === undefined ? undefined : this.named(reference.stack, reference.id);
  }

  isExported(name: unknown): boolean {
    return this.#exports.has(name);
  }

  /** Every resource that anything within `root` refers to. */
  referredIn(stack: string, root: unknown): Resource[] {
    return [...valuesIn(root)].flatMap(({ value }) => this.referred(stack, value) ?? []);
  }

  /** Those whose properties refer to `resource`. */
  usersOf(resource: Resource): Resource[] {
    return this.resources.filter((user) => this.#referencesOf(user).has(resource));
  }

  #referencesOf(user: Resource): ReadonlySet<Resource> {
    const known = this.#references.get(user) ?? new Set(this.referredIn(user.stack, user.properties));
    this.#references.set(user, known);
    return known;
  }

  get fleets(): readonly Fleet[] {
    this.#fleets ??= this.#readFleets();
    return this.#fleets;
  }

  #readFleets(): Fleet[] {
    return this.of('AWS::EC2::LaunchTemplate').map((template) => {
      const { UserData } = userDataSchema.parse(template.properties.LaunchTemplateData);
      const [script, variables] = UserData['Fn::Base64']['Fn::Sub'];
      return { template, name: String(variables.FLEET_NAME), script, variables };
    });
  }
}

export function found(resource: Pick<Resource, 'stack' | 'id'>, problem: string): Finding {
  return { where: `${resource.stack}/${resource.id}`, problem };
}

/** `problem` unless `holds`, to be spread into a list. */
export function unless(holds: boolean, resource: Pick<Resource, 'stack' | 'id'>, problem: string): Finding[] {
  return holds ? [] : [found(resource, problem)];
}

/** A text whose parts may be references: those become `<…>`. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  const join = valueAt(value, 'Fn::Join');
  if (join !== undefined)
    return listOf(valueAt(join, 1))
      .map(textOf)
      .join(String(valueAt(join, 0)));
  return `<${JSON.stringify(value)}>`;
}

/** As a list, whatever the template has. */
export function listOf(value: unknown): unknown[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}

/** The value under a path of keys; undefined where it ends early. */
export function valueAt(root: unknown, ...path: readonly (string | number)[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Reflect.get(value, key);
  }
  return value;
}
