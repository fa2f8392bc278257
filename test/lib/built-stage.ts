/** A stage, synthesized once: what it is made of, and the constructs that made it. */
import type { App } from 'aws-cdk-lib';
import { buildApp, type Stacks } from '../../lib/app.ts';
import type { NetworkSettings, StageConfiguration } from '../../lib/settings.ts';
import { NetworkStack } from '../../lib/stacks/network-stack.ts';
import { type Synthesized, synthesized } from './synthesized.ts';

export interface BuiltStage {
  readonly stage: string;
  readonly configuration: StageConfiguration;
  readonly app: Synthesized;
  readonly constructs: App;
  readonly stacks: Stacks;
}

export function builtStage(configuration: StageConfiguration): BuiltStage {
  let constructs: App | undefined;
  let stacks: Stacks | undefined;
  const app = synthesized((empty) => {
    constructs = empty;
    stacks = buildApp(empty, configuration);
  });
  return { stage: configuration.stage, configuration, app, constructs: constructs!, stacks: stacks! };
}

export function networkAlone(network: NetworkSettings): Synthesized {
  return synthesized((app) => {
    new NetworkStack(app, 'network', { stage: 'dev', network });
  });
}
