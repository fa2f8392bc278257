/**
 * A worker's name in every form that the files of it need, and what keeps a name from being taken.
 *
 * The files in scaffold/worker are those of a worker called `sample-work`, which type checker and linter see as any
 * other; a new worker's are the same with every form of that name replaced.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { constructId, isWorkloadName, WORKLOAD_NAME_ALLOWED, workloadNames } from '../lib/workloads.ts';
import { foldersOf, snakeCase, takeBackAdvice } from './written-paths.ts';

export const SAMPLE_NAME = 'sample-work';

/** Alarms of the database are named as those of a workload of this name would be. */
const RESERVED_NAME = 'database';

/** Why a worker cannot have this name; undefined when it can. */
export function nameProblem(name: string, others: readonly string[] = workloadNames): string | undefined {
  if (!isWorkloadName(name)) return `Allowed: ${WORKLOAD_NAME_ALLOWED}.`;
  if (name === RESERVED_NAME) return "The database's alarms have this name; choose another.";
  if (name === SAMPLE_NAME) return 'Every new worker is made after the one of this name; choose another.';
  // Whoever looks up what an object has by a workload's name would find what every object has.
  if (name in Object.prototype) return `Every object in JavaScript has something called ${name}; choose another.`;
  // Its queue would be the dead-letter queue of another workload.
  if (name.endsWith('-dlq')) return 'Names of dead-letter queues end with -dlq; choose another.';
  const like = others.find((each) => constructId(each) === constructId(name));
  if (like !== undefined) {
    return like === name
      ? `There is a workload ${like} already; choose another. ${takeBackAdvice(name)}`
      : `There is a workload ${like} already, and constructs of ${name} would have the same ids; choose another.`;
  }
  return undefined;
}

/** Of a tree: its folders may hold what is no workload, such as the parts that all workers share. */
export function folderProblem(name: string, tree: string): string | undefined {
  const taken = foldersOf(name).find((folder) => existsSync(join(tree, folder)));
  return taken === undefined
    ? undefined
    : `cannot add the worker ${name}: ${taken} is there already; choose another name. ${takeBackAdvice(name)}`;
}

/** The text of a file of the sample worker, as that of `name`. */
export function renamed(text: string, name: string): string {
  return formsOf(SAMPLE_NAME).reduce((changed, form, index) => changed.replaceAll(form, formsOf(name)[index]!), text);
}

/** kebab-case, snake_case, CONSTANT_CASE, PascalCase and camelCase: no form of the sample's name is a part of another. */
function formsOf(name: string): string[] {
  const pascal = constructId(name);
  const snake = snakeCase(name);
  return [name, snake, snake.toUpperCase(), pascal, pascal[0]!.toLowerCase() + pascal.slice(1)];
}
