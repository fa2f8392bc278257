/** Started as a process of its own after the tree has changed: whether every stage is still valid, in its exit status. */
import { configurationOf, stageNames } from '../lib/config.ts';

try {
  for (const stage of stageNames) configurationOf(stage);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
