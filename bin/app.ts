/**
 * The CDK entry: a stage's name in, its templates out.
 *
 *   npx cdk synth -c stage=prod
 *
 * Of the context it knows `stage` alone, and refuses what else a person might say: a stage that is spelt wrong would be
 * another one. Keys with @ or : are the CDK's own, flags and look-ups.
 *
 * It reads the flags of cdk.json itself, so that `node bin/app.ts`, without the CDK's command line, writes the same.
 */
import cdkJson from '../cdk.json' with { type: 'json' };
import { buildAhead } from '../lib/constructs/worker-build.ts';

/** Written into the context by the CDK's command line. */
const KEYS_OF_THE_COMMAND_LINE = ['cli-telemetry', 'acknowledged-issue-numbers'];

function checkContext(context: Readonly<Record<string, unknown>>, defaultStage: string): void {
  const unknown = Object.keys(context).filter(
    (key) => key !== 'stage' && !/[@:]/.test(key) && !KEYS_OF_THE_COMMAND_LINE.includes(key),
  );
  if (unknown.length === 0) return;
  throw new Error(`context ${unknown.join(', ')} is unknown; allowed: stage, as in -c stage=${defaultStage}`);
}

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
  checkContext(app.node.getAllContext(), DEFAULT_STAGE);
  const stage: unknown = app.node.tryGetContext('stage') ?? DEFAULT_STAGE;
  buildApp(app, configurationOf(String(stage)));
  app.synth();
} catch (error) {
  // `cdk --debug` sets it; a person who mistyped a stage has no use for a stack trace.
  const debug = process.env.CDK_DEBUG === 'true';
  console.error(error instanceof Error && !debug ? error.message : error);
  process.exitCode = 1;
}
