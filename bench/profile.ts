/**
 * Where the CPU of a measured process went: reads what `node --cpu-prof` left.
 *
 * Time counts for the package whose code ran; what has no file of its own, such as JSON.parse, counts for whoever called
 * it. The start and the warm-up are left out.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type Detail, number } from './result.ts';

const profileSchema = z.object({
  nodes: z.array(
    z.object({
      id: z.int(),
      callFrame: z.object({ functionName: z.string(), url: z.string(), lineNumber: z.int() }),
      children: z.array(z.int()).optional(),
    }),
  ),
  samples: z.array(z.int()),
  timeDeltas: z.array(z.int()),
});

type Profile = z.infer<typeof profileSchema>;

const ROWS_MAX = 14;
/** Waiting is no work. */
const IDLE = '(idle)';

/** Of the newest profile in a folder. @param lastSeconds what counts. @param cpuSecondsPerThousand of those seconds. */
export function profileDetails(
  who: string,
  folder: string,
  lastSeconds: number,
  cpuSecondsPerThousand: number,
): Detail[] {
  const file = readdirSync(folder)
    .filter((name) => name.endsWith('.cpuprofile'))
    .toSorted()
    .at(-1);
  if (file === undefined) throw new Error(`no profile is in ${folder}: did the process of ${who} not end by itself?`);
  const profile = profileSchema.parse(JSON.parse(readFileSync(join(folder, file), 'utf8')));
  const microsOfNode = selfTimes(profile, lastSeconds);
  const callers = callersOf(profile);
  const [byPackage, byFunction] = [new Map<string, number>(), new Map<string, number>()];
  for (const node of profile.nodes) {
    const micros = microsOfNode.get(node.id) ?? 0;
    if (micros === 0 || node.callFrame.functionName === IDLE) continue;
    add(byPackage, packageOf(node, callers), micros);
    add(byFunction, `${node.callFrame.functionName || '(anonymous)'} ${placeOf(node.callFrame)}`, micros);
  }
  return [
    tableOf(`${who}: CPU by package`, byPackage, cpuSecondsPerThousand),
    tableOf(`${who}: CPU by function, callees not counted`, byFunction, cpuSecondsPerThousand),
  ];
}

function selfTimes({ samples, timeDeltas }: Profile, lastSeconds: number): Map<number, number> {
  const times = new Map<number, number>();
  let microsLeft = lastSeconds * 1e6;
  for (let index = samples.length - 1; index >= 0 && microsLeft > 0; index -= 1) {
    const micros = timeDeltas[index] ?? 0;
    microsLeft -= micros;
    add(times, samples[index]!, micros);
  }
  return times;
}

type Node = Profile['nodes'][number];

function callersOf({ nodes }: Profile): Map<number, Node> {
  return new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node] as const)));
}

function packageOf(node: Node, callers: ReadonlyMap<number, Node>): string {
  const { functionName, url } = node.callFrame;
  if (url === '' && /^\((garbage collector|program)\)$/.test(functionName)) return functionName;
  for (let at: Node | undefined = node; at !== undefined; at = callers.get(at.id)) {
    if (at.callFrame.url !== '') return placeOf(at.callFrame);
  }
  return '(node itself)';
}

/** A package, a module of Node, or a file of ours. */
function placeOf({ url }: Node['callFrame']): string {
  const installed = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
  if (installed !== undefined) return installed;
  const own = /\/((?:workers|bench)\/.+)$/.exec(url)?.[1];
  return own ?? url.replace(/^node:internal\/([^/]+).*/, 'node:$1');
}

function tableOf(title: string, times: ReadonlyMap<string, number>, cpuSecondsPerThousand: number): Detail {
  const total = [...times.values()].reduce((sum, micros) => sum + micros, 0);
  const rows = [...times].toSorted(([, one], [, other]) => other - one).slice(0, ROWS_MAX);
  return {
    title,
    head: ['', '% of its CPU', 'µs a message'],
    rows: rows.map(([name, micros]) => [
      name,
      number((micros / total) * 100, 1),
      number((micros / total) * cpuSecondsPerThousand * 1000, 1),
    ]),
  };
}

function add<Key>(sums: Map<Key, number>, key: Key, value: number): void {
  sums.set(key, (sums.get(key) ?? 0) + value);
}
