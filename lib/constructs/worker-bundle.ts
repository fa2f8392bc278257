/** A worker as an asset: what worker-build.ts makes of an entry, in the bucket that `cdk deploy` fills. */
import { dirname, join } from 'node:path';
import { AssetHashType, type BundlingOptions, BundlingOutput, DockerImage } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { Asset, type AssetProps } from 'aws-cdk-lib/aws-s3-assets';
import type { Construct } from 'constructs';
import { bundleWorker, repositoryFolder } from './worker-build.ts';

/** The S3 asset of a worker, built when the app is synthesized. `entry` is relative to the repository. */
export function workerBundle(scope: Construct, id: string, entry: string): Asset {
  return new Asset(scope, id, bundleOf(entry));
}

/** The same as the code of a Lambda function. */
export function functionBundle(entry: string): lambda.Code {
  const { path, ...options } = bundleOf(entry);
  return lambda.Code.fromAsset(path, options);
}

function bundleOf(entry: string): AssetProps {
  const bundling: BundlingOptions = {
    // Demanded by the type; never pulled, because `local` builds or throws.
    image: DockerImage.fromRegistry('docker-is-not-used'),
    // The CDK tells bundles apart by these options, and leaves `local` out: without it two entries in one folder
    // would share the first one's bundle.
    command: [entry],
    outputType: BundlingOutput.NOT_ARCHIVED,
    local: {
      tryBundle: (outputFolder) => {
        bundleWorker(entry, outputFolder);
        return true;
      },
    },
  };
  return { path: dirname(join(repositoryFolder, entry)), assetHashType: AssetHashType.OUTPUT, bundling };
}
