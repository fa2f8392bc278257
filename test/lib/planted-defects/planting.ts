/**
 * How one defect is planted: into a copy of the templates of prod, into a configuration, or into what a construct is asked.
 *
 * A defect says what is wrong and makes it so, and nothing about who has to find it. Planting that changes nothing is an
 * error: a defect that is not there would count as one that nobody found.
 */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { Template } from '../synthesized.ts';

export type Templates = Record<string, Template>;
export type Plant = (templates: Templates) => void;

export interface Defect<Into> {
  readonly what: string;
  readonly plant: Into;
}

export type TemplateDefect = Defect<Plant>;

/** Stack and logical id, without the stage, the hash and that of a bundle: `messaging/OrdersQueue`. */
export type Place = string;
type Path = readonly (string | number)[];
export type Json = Record<string, unknown>;

const jsonSchema = z.record(z.string(), z.unknown());

export function resourceAt(templates: Templates, place: Place): Json {
  const { stack, id } = located(templates, place);
  return templates[stack]!.Resources[id]!;
}

/** Stack and logical id as the templates have them. */
export function located(templates: Templates, place: Place): { readonly stack: string; readonly id: string } {
  const [part, name] = place.split('/');
  const stack = Object.keys(templates).find((each) => each.endsWith(`-${part}`));
  const ids = Object.keys(templates[stack!]?.Resources ?? {});
  const id = ids.find((each) => each === name || each.replace(/[0-9A-F]{8}([0-9a-f]{64})?$/, '') === name);
  if (stack === undefined || id === undefined)
    throw new Error(`there is no ${place} that anything could be planted into`);
  return { stack, id };
}

/** Sets a property, or takes it away where `value` is undefined. */
export function property(place: Place, path: Path, value: unknown): Plant {
  return attribute(place, ['Properties', ...path], value);
}

/** The same of whatever stands beside the properties too. */
export function attribute(place: Place, path: Path, value: unknown): Plant {
  return (templates) => {
    let owner: unknown = resourceAt(templates, place);
    for (const key of path.slice(0, -1)) owner = Reflect.get(Object(owner), key);
    const last = path.at(-1)!;
    // A list would keep a hole, which no template has.
    if (value === undefined && Array.isArray(owner)) owner.splice(Number(last), 1);
    else if (value === undefined) Reflect.deleteProperty(Object(owner), last);
    else Reflect.set(Object(owner), last, value);
  };
}

/** Replaces a text of a resource, given as JSON. */
export function text(place: Place, from: string | RegExp, to: string | ((templates: string) => string)): Plant {
  return (templates) => {
    const { stack, id } = located(templates, place);
    const before = JSON.stringify(templates[stack]!.Resources[id]);
    const after = before.replace(from, typeof to === 'string' ? () => to : () => to(JSON.stringify(templates)));
    Object.assign(templates[stack]!.Resources, { [id]: jsonSchema.parse(JSON.parse(after)) });
  };
}

/** Changes the statement of a policy that has `about` in it. */
export function statement(place: Place, about: string, change: (found: Json, templates: Templates) => void): Plant {
  return (templates) => {
    const all = statementsIn(resourceAt(templates, place));
    const found = all.find((each) => JSON.stringify(each).includes(about));
    if (found === undefined) throw new Error(`${place} has no statement about ${about}`);
    change(found, templates);
  };
}

export function addedStatement(place: Place, path: Path, added: Json): Plant {
  return (templates) => {
    let owner: unknown = resourceAt(templates, place).Properties;
    for (const key of path) owner = Reflect.get(Object(owner), key);
    z.array(z.unknown()).parse(owner);
    Reflect.get(Object(owner), 'push').call(owner, added);
  };
}

/** A resource more, in the stack of that part. */
export function added(part: string, id: string, resource: Template['Resources'][string]): Plant {
  return (templates) => {
    const stack = Object.keys(templates).find((each) => each.endsWith(`-${part}`))!;
    templates[stack]!.Resources[id] = resource;
  };
}

export function removed(place: Place): Plant {
  return (templates) => {
    const { stack, id } = located(templates, place);
    Reflect.deleteProperty(templates[stack]!.Resources, id);
  };
}

/** The copy of `templates` with the defect in it. */
export function planted(templates: Readonly<Templates>, { what, plant }: TemplateDefect): Templates {
  const copy = structuredClone({ ...templates });
  plant(copy);
  let changes = Object.keys(templates).length - Object.keys(copy).length;
  for (const [stack, template] of Object.entries(copy)) {
    const before = templates[stack]!;
    if (!isDeepStrictEqual({ ...template, Resources: {} }, { ...before, Resources: {} })) changes += 1;
    const ids = new Set([...Object.keys(template.Resources), ...Object.keys(before.Resources)]);
    for (const id of ids) {
      const was = before.Resources[id];
      // What is as it was is the same object: rules remember what they have read of it.
      if (was !== undefined && isDeepStrictEqual(template.Resources[id], was)) template.Resources[id] = was;
      else changes += 1;
    }
  }
  if (changes === 0) throw new Error(`nothing was planted: ${what}`);
  return copy;
}

function statementsIn(root: unknown): Json[] {
  if (typeof root !== 'object' || root === null) return [];
  const within = Object.values(root).flatMap(statementsIn);
  return isStatement(root) ? [root, ...within] : within;
}

function isStatement(value: object): value is Json {
  return 'Effect' in value;
}
