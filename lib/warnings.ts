/**
 * What a stage may be, and most often is not meant to be: each a warning at synthesis that says what to do.
 *
 * Holds always: a warning ends nothing, unless `cdk synth --strict` was asked to; whoever means it acknowledges it by its
 * id, in lib/app.ts: `Annotations.of(app).acknowledgeWarning('sluice:…', 'why')`.
 */
import { Annotations } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { PinnedImages } from './constructs/fleet-image.ts';
import type { StageConfiguration } from './settings.ts';

/** Instances of `scope` boot from whatever is newest when it is deployed. */
export function warnWithoutImage(scope: Construct, stage: string, images: PinnedImages): void {
  if (Object.keys(images).length > 0) return;
  Annotations.of(scope).addWarningV2(
    'sluice:image-is-not-pinned',
    `stage ${stage} is pinned to no image: a deployment after AWS has published another one replaces all instances. Pin it with \`npm run sluice -- image --stage ${stage}\`.`,
  );
}

/** Alarms that nobody hears, in a stage that is worth protecting: in any other nobody has to. */
export function warnWithoutAlarmEmails(
  scope: Construct,
  { stage, terminationProtection, watching }: StageConfiguration,
): void {
  if (!terminationProtection || watching.alarmEmails.length > 0) return;
  Annotations.of(scope).addWarningV2(
    'sluice:nobody-is-told',
    `stage ${stage} tells nobody of its alarms. Name who is to get a mail in watching.alarmEmails of lib/config.ts, or subscribe something else to the topic and acknowledge this warning.`,
  );
}
