/**
 * The CDK entry: a stage's name in, its templates out.
 *
 *   npx cdk synth -c stage=prod
 *
 * It reads the flags of cdk.json itself, so that `node bin/app.ts`, without the CDK's command line, writes the same.
 */
import cdkJson from '../cdk.json' with { type: 'json' };
import { buildAhead } from '../lib/constructs/worker-build.ts';

// The workers are built in another process while this one loads the CDK, which takes as long.
const workers = buildAhead();
const [{ App }, { PATH_METADATA_ENABLE_CONTEXT }, { buildApp }, { configurationOf, DEFAULT_STAGE }] = await Promise.all(
  [import('aws-cdk-lib'), import('aws-cdk-lib/cx-api'), import('../lib/app.ts'), import('../lib/config.ts')],
);

try {
  await workers;
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
