/** What the synthesis of a stage warns of, and when it says nothing. */
import { describe, expect, test } from '@jest/globals';
import { Annotations, Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { configurationOf } from '../../lib/config.ts';
import { warnWithoutAlarmEmails, warnWithoutImage } from '../../lib/warnings.ts';
import { builtStage } from './built-stage.ts';
import { synthesized } from './synthesized.ts';

/** The warnings in a stack that `build` makes something of. */
function warningsOf(build: (stack: Stack) => void): string[] {
  const stacks: Stack[] = [];
  synthesized((app) => {
    const stack = new Stack(app, 'stack');
    stacks.push(stack);
    build(stack);
  });
  return everyWarningOf(stacks[0]!);
}

function everyWarningOf(root: Construct): string[] {
  return root.node
    .findAll()
    .flatMap(({ node }) => node.metadata)
    .filter(({ type }) => type === 'aws:cdk:warning')
    .map(({ data }) => String(data));
}

describe('a stage as it comes', () => {
  test('is warned of in dev for its image, and in prod for its alarms as well', () => {
    const warnings = (stage: string) => everyWarningOf(builtStage(configurationOf(stage)).constructs);
    expect(warnings('dev')).toEqual([
      expect.stringMatching(/^stage dev is pinned to no image: .* `npm run sluice -- image --stage dev`\./),
    ]);
    expect(warnings('prod')).toEqual([
      expect.stringMatching(/^stage prod is pinned to no image: /),
      expect.stringMatching(/^stage prod tells nobody of its alarms\. .*watching\.alarmEmails of lib\/config\.ts/),
    ]);
  });
});

describe('a warning', () => {
  const prod = configurationOf('prod');
  const told = { ...prod, watching: { ...prod.watching, alarmEmails: ['people@example.com'] } };

  test.each<[string, (stack: Stack) => void]>([
    [
      'of an image, where one is pinned',
      (stack) => warnWithoutImage(stack, 'prod', { 'eu-central-1': 'ami-12345678' }),
    ],
    ['of alarms, where somebody is told', (stack) => warnWithoutAlarmEmails(stack, told)],
    ['of alarms, where nothing is protected', (stack) => warnWithoutAlarmEmails(stack, configurationOf('dev'))],
    [
      'that was acknowledged',
      (stack) => {
        Annotations.of(stack).acknowledgeWarning('sluice:nobody-is-told', 'the topic has a subscriber of its own');
        warnWithoutAlarmEmails(stack, prod);
      },
    ],
  ])('does not come %s', (_, build) => {
    expect(warningsOf(build)).toEqual([]);
  });

  test('does come otherwise, so that these say something', () => {
    expect(warningsOf((stack) => warnWithoutAlarmEmails(stack, prod))).toHaveLength(1);
    expect(warningsOf((stack) => warnWithoutImage(stack, 'prod', {}))).toHaveLength(1);
  });
});
