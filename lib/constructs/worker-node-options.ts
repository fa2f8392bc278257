/** How Node is told to use memory in a worker: the template writes it, and a bench that measures workers uses it too. */

/**
 * A small young generation keeps a worker under 150 MB: with Node's default, garbage that nobody needs any more fills
 * 200 MB before it is looked at. One of 2 MB would be too small: messages that wait for their delete would outlive it,
 * and cost more to collect. The old generation has room for messages of the largest size.
 */
export const WORKER_NODE_OPTIONS = '--max-old-space-size=384 --max-semi-space-size=8';
