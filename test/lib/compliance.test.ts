/**
 * The rule packs of cdk-nag over the construct trees: AwsSolutions on every stage, NIST 800-53 R5 on prod.
 *
 * The packs look at trees, not at templates, and are asked here alone: registered in bin/ they would need nothing else,
 * and everybody who synthesizes would pay for them.
 */
import { describe, expect, test } from '@jest/globals';
import { type App, Stack, Validations } from 'aws-cdk-lib';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { AwsSolutionsChecks, type NagPack, NIST80053R5Checks } from 'cdk-nag';
import { buildApp } from '../../lib/app.ts';
import { configurationOf, stageNames } from '../../lib/config.ts';
import { type Acknowledgement, acknowledgements, type Pack } from './acknowledgements.ts';
import { synthesized } from './synthesized.ts';

interface Finding {
  readonly stage: string;
  /** Without the name of the app and the stage. */
  readonly rule: string;
  /** Of the construct, without the name of the app and the stage. */
  readonly path: string;
}

const packs: Readonly<Record<Pack, { readonly rules: () => NagPack; readonly stages: readonly string[] }>> = {
  AwsSolutions: { rules: () => new AwsSolutionsChecks(), stages: stageNames },
  'NIST.800.53.R5': { rules: () => new NIST80053R5Checks(), stages: ['prod'] },
};

const trees = stageNames.map((stage) => ({
  stage,
  tree: treeOf((app) => buildApp(app, configurationOf(stage))),
}));
const findings = trees.flatMap(({ stage, tree }) =>
  Object.values(packs)
    .filter(({ stages }) => stages.includes(stage))
    .flatMap(({ rules }) => findingsIn(tree, rules(), stage)),
);

describe('the rule packs', () => {
  test('find nothing but what is acknowledged', () => {
    const open = findings.filter((finding) => !acknowledgements.some((each) => isAbout(each, finding)));
    expect(open).toEqual([]);
  });

  test('find what they are there for', () => {
    const tree = treeOf((open) => {
      new sqs.CfnQueue(new Stack(open, 'sluice-dev-open'), 'Queue');
    });
    const [awsSolutions] = Object.values(packs);
    expect(findingsIn(tree, awsSolutions!.rules(), 'dev').map(({ rule }) => rule)).toContain('AwsSolutions-SQS4');
  });
});

describe('an acknowledgement', () => {
  test.each(acknowledgements)('of $rule at $path is of something that is found, in each of its stages', (each) => {
    const [, { stages }] = Object.entries(packs).find(([pack]) => each.rule.startsWith(`${pack}-`))!;
    const found = findings.filter((finding) => isAbout(each, finding)).map(({ stage }) => stage);
    expect([...new Set(found)].sort()).toEqual([...(each.stages ?? stages)].sort());
  });

  test('is the only one of its finding', () => {
    const twice = findings.filter((finding) => acknowledgements.filter((each) => isAbout(each, finding)).length > 1);
    expect(twice).toEqual([]);
  });

  test('is written nowhere else', () => {
    const elsewhere = trees.flatMap(({ tree }) =>
      tree.node.findAll().flatMap(({ node }) => {
        const entries = node.metadata.filter(({ type }) => type === Validations.ACKNOWLEDGED_RULES_METADATA_KEY);
        // The CDK acknowledges some warnings of its own, which are none of the packs'.
        const ids = entries.flatMap(({ data }) => Object.keys(Object(data)));
        return ids.filter((id) => Object.keys(packs).some((pack) => id.includes(`${pack}-`))).map(() => node.path);
      }),
    );
    expect(elsewhere).toEqual([]);
  });
});

/** The constructs of an app after its synthesis, when everything that is made late is there. */
function treeOf(build: (app: App) => void): App {
  const apps: App[] = [];
  synthesized((app) => {
    build(app);
    apps.push(app);
  });
  return apps[0]!;
}

function findingsIn(tree: App, pack: NagPack, stage: string): Finding[] {
  return pack.validateScope(tree).violations.flatMap(({ ruleName: rule, violatingResources }) =>
    violatingResources.map(({ constructPath = '' }) => ({
      stage,
      // A finding in brackets may hold a name of the stage too.
      rule: rule.replace(`sluice-${stage}-`, ''),
      path: constructPath.replace(`sluice-${stage}-`, ''),
    })),
  );
}

function isAbout({ rule, path, stages }: Acknowledgement, finding: Finding): boolean {
  return matches(rule, finding.rule) && (stages?.includes(finding.stage) ?? true) && matches(path, finding.path);
}

/** Whether `text` is `pattern`, in which `<Name>` stands for one word. */
function matches(pattern: string, text: string): boolean {
  const parts = pattern.split(/<\w+>/).map((part) => part.replaceAll(/[.+*?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('\\w+')}$`).test(text);
}
