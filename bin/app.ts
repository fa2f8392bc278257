/**
 * The CDK entry: a stage's name in, its templates out.
 *
 *   npx cdk synth -c stage=prod
 *
 * It reads the flags of cdk.json itself, so that `node bin/app.ts`, without the CDK's command line, writes the same.
 */
import { App } from 'aws-cdk-lib';
import { PATH_METADATA_ENABLE_CONTEXT } from 'aws-cdk-lib/cx-api';
import cdkJson from '../cdk.json' with { type: 'json' };
import { buildApp } from '../lib/app.ts';
import { configurationOf, DEFAULT_STAGE } from '../lib/config.ts';

try {
  const app = new App({
    // The command line asks for construct paths in the templates; so does this, or the two would differ.
    context: { ...cdkJson.context, [PATH_METADATA_ENABLE_CONTEXT]: true },
    autoSynth: false,
  });
  const stage: unknown = app.node.tryGetContext('stage') ?? DEFAULT_STAGE;
  buildApp(app, configurationOf(String(stage)));
  app.synth();
} catch (error) {
  // `cdk --debug` sets it; a person who mistyped a stage has no use for a stack trace.
  const debug = process.env.CDK_DEBUG === 'true';
  console.error(error instanceof Error && !debug ? error.message : error);
  process.exitCode = 1;
}
