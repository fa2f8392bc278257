/**
 * What an instance needs of programs that its image does not bring, each by its package.
 *
 * Holds always: Node is one version everywhere: the package that is installed, the program that the unit starts, and what the
 * bundles are built for.
 */
import { LOG_AGENT_PACKAGES } from './log-agent.ts';

/** The one that package-lock.json brings for the local run. */
export const NODE_MAJOR = 24;
/** Amazon Linux names the program after its version, so that several can be there side by side. */
export const NODE_PROGRAM = `/usr/bin/node-${NODE_MAJOR}`;
const NODE_PACKAGE = `nodejs${NODE_MAJOR}`;

export const INSTANCE_PACKAGES: readonly string[] = [NODE_PACKAGE, 'unzip', ...LOG_AGENT_PACKAGES];
