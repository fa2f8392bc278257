/** What a fleet has to know of the types of EC2: which are Graviton, which sizes there are, and whether a worker fits in. */
import { WORKER_HEAP_MAX_MIB } from './worker-node-options.ts';

/** A family of Graviton, and a size that EC2 has in some family. */
const GRAVITON_TYPE =
  /^[a-z]+\d+g[a-z]*\.(?:(nano|micro|small|medium|large)|(?:(2|3|4|6|8|9|12|16|18|24|32|48))?xlarge|metal(?:-(?:16|24|32|48)xl)?)$/;
export const GRAVITON_TYPE_ALLOWED =
  'a Graviton instance type such as t4g.micro, of a size that EC2 has: micro, small, medium, large, xlarge, 2xlarge to 48xlarge, metal';

/** The least that any family of Graviton has in that size (EC2 instance types). Each xlarge has as much again. */
const MEMORY_MIN_GIB: Readonly<Record<string, number>> = { nano: 0.5, micro: 1, small: 2, medium: 2, large: 4 };
const MEMORY_MIN_GIB_OF_XLARGE = 8;
const MIB_OF_GIB = 1024;
/** The rest is for what Node has beside its heap, for the system, and for the agent of the logs. */
const HEAP_SHARE_MAX = 0.5;

export function isGravitonType(type: string): boolean {
  return GRAVITON_TYPE.test(type);
}

/** The memory that an instance of a Graviton type has at the least. */
export function instanceMemoryMib(type: string): number {
  const [, small, times = '1'] = GRAVITON_TYPE.exec(type) ?? [];
  const gib = small === undefined ? MEMORY_MIN_GIB_OF_XLARGE * Number(times) : (MEMORY_MIN_GIB[small] ?? 0);
  return gib * MIB_OF_GIB;
}

/** What is allowed in the place of a Graviton type that is too small for a worker; undefined when it fits in. */
export function memoryProblem(type: string): string | undefined {
  const memoryMib = instanceMemoryMib(type);
  if (WORKER_HEAP_MAX_MIB <= memoryMib * HEAP_SHARE_MAX) return undefined;
  return `a size with at least ${Math.ceil(WORKER_HEAP_MAX_MIB / HEAP_SHARE_MAX)} MiB, such as t4g.micro: it has ${memoryMib} MiB, and a worker's heap alone may take ${WORKER_HEAP_MAX_MIB}`;
}
