/** How Node is told to use memory in a worker: the template writes it, and a bench that measures workers uses it too. */

/** Room for messages of the largest size. An instance has to have twice as much. */
export const WORKER_HEAP_MAX_MIB = 384;

/**
 * A small young generation keeps a worker under 150 MB: with Node's default, garbage that nobody needs any more fills
 * 200 MB before it is looked at. One of 2 MB would be too small: messages that wait for their delete would outlive it,
 * and cost more to collect.
 */
export const WORKER_NODE_OPTIONS = `--max-old-space-size=${WORKER_HEAP_MAX_MIB} --max-semi-space-size=8`;
