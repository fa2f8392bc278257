/**
 * What holds over every template of every stage, so that a resource added by copying inherits it, and that it bites.
 *
 * The second half plants defects, one at a time, and asks the same rules and the same checks of the configuration who
 * finds it. Snapshots are not asked: they find every change and judge none.
 *
 *   SLUICE_WRITE_LIST=1 npm test -- test/lib/templates     writes the list of defects into docs/infrastructure.md
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { Stack } from 'aws-cdk-lib';
import { buildApp } from '../../lib/app.ts';
import { configurationOf, stageNames } from '../../lib/config.ts';
import { ConfigurationError, checkedConfiguration } from '../../lib/settings.ts';
import { permittedWildcards } from './permitted-wildcards.ts';
import { configurationDefects, constructDefects } from './planted-defects/configuration-defects.ts';
import { planted, type TemplateDefect, type Templates } from './planted-defects/planting.ts';
import { templateDefects } from './planted-defects/template-defects.ts';
import { findingsOf, ruleNames } from './rules/index.ts';
import { isAbout, wildcardFindings } from './rules/policies.ts';
import { Stage } from './rules/stage.ts';
import { synthesized, synthesizedStage } from './synthesized.ts';

const DOCS = new URL('../../docs/infrastructure.md', import.meta.url);
const TABLE = /^\| about \| planted \|(?:.*\n\|)*.*/m;

const stages = stageNames.map((name) => new Stage(configurationOf(name), synthesizedStage(name).templates));

/** What neither stage uses: another way out, Spot, and a FIFO queue without high throughput. */
const withOptions = (() => {
  const { stage: _, network, fleets, queues, ...settings } = structuredClone(configurationOf('prod'));
  const { cidr, availabilityZones, flowLogRetentionDays } = network;
  const configuration = checkedConfiguration('options', {
    ...settings,
    network: { cidr, availabilityZones, flowLogRetentionDays, egress: 'nat', natGateways: 2 },
    fleets: { ...fleets, orders: { ...fleets.orders, spotInstanceTypes: ['m7gd.medium', 'c7g.large'] } },
    queues: { ...queues, ledger: { ...queues.ledger, highThroughput: false, contentBasedDeduplication: true } },
  });
  return new Stage(configuration, synthesized((app) => void buildApp(app, configuration)).templates);
})();

describe.each([...stages, withOptions])('in stage $name', (stage) => {
  test.each(ruleNames)('%s', (rule) => {
    expect(findingsOf(rule, stage)).toEqual([]);
  });
});

describe('a permitted wildcard', () => {
  test.each(permittedWildcards)('is there in each of its stages: $stack/$logicalId $problem', (entry) => {
    for (const stage of stages.filter(({ name }) => entry.stages?.includes(name) ?? true)) {
      expect(wildcardFindings(stage).filter((finding) => isAbout(entry, finding, stage))).not.toEqual([]);
    }
  });
});

describe('of the defects that are planted one at a time', () => {
  const CAUGHT_MIN_OF_40 = 36;
  const prod = stages.find(({ name }) => name === 'prod')!;
  const found = [
    ...Object.entries(templateDefects).flatMap(([about, defects]) =>
      defects.map((defect) => ({ about, what: defect.what, by: foundIn(prod, defect) })),
    ),
    ...configurationDefects.map(({ what, plant: { field, value } }) => ({
      about: 'the configuration',
      what: `${what}: ${field} ${JSON.stringify(value)}`,
      by: refusalOf(() => checkedConfiguration('prod', prodWith(field, value)), field),
    })),
    ...constructDefects.map(({ what, plant }) => ({
      about: 'the constructs',
      what,
      by: refusalOf(() => synthesized((app) => plant(new Stack(app, 'stack')))),
    })),
  ];

  test.each(found)('$about: $what', ({ by }) => {
    expect(by).not.toEqual([]);
  });

  test('at least 36 of 40 are caught', () => {
    const caught = found.filter(({ by }) => by.length > 0);
    expect(found.length).toBeGreaterThanOrEqual(40);
    expect(caught.length / found.length).toBeGreaterThanOrEqual(CAUGHT_MIN_OF_40 / 40);
  });

  test('no two are the same', () => {
    expect(new Set(found.map(({ about, what }) => `${about}: ${what}`)).size).toBe(found.length);
  });

  test.each(ruleNames)('there is one for the rule: %s', (rule) => {
    expect(found.filter(({ by }) => by.some((each) => each === rule))).not.toEqual([]);
  });

  test('the list is in docs/infrastructure.md as it is here', () => {
    const table = ['| about | planted | caught by |', '| ----- | ------- | --------- |', ...found.map(lineOf)].join(
      '\n',
    );
    const docs = readFileSync(DOCS, 'utf8');
    if (process.env.SLUICE_WRITE_LIST !== undefined)
      writeFileSync(
        DOCS,
        docs.replace(TABLE, () => table),
      );
    expect(TABLE.exec(readFileSync(DOCS, 'utf8'))?.[0]).toBe(table);
  });
});

function lineOf({
  about,
  what,
  by,
}: {
  readonly about: string;
  readonly what: string;
  readonly by: readonly string[];
}) {
  const [first = 'not caught', ...others] = by;
  return `| ${about} | ${what} | ${first}${others.length === 0 ? '' : `, and ${others.length} more`} |`;
}

/** The rules that find it; none where there is nothing that it could be planted into. */
function foundIn(stage: Stage, defect: TemplateDefect): string[] {
  let templates: Templates;
  try {
    templates = planted(stage.templates, defect);
  } catch (error) {
    console.error(String(error));
    return [];
  }
  const spoilt = new Stage(stage.configuration, templates);
  return ruleNames.filter((rule) => findingsOf(rule, spoilt).length > 0);
}

/** The configuration of prod with one field set to something else. */
function prodWith(field: string, value: unknown): unknown {
  const { stage: _, ...candidate } = structuredClone(configurationOf('prod'));
  const path = field.split('.');
  let owner: object = candidate;
  for (const key of path.slice(0, -1)) owner = Reflect.get(owner, key);
  Reflect.set(owner, path.at(-1)!, value);
  return candidate;
}

/** Who refuses to go on: the configuration, naming the field, or a construct. */
function refusalOf(build: () => unknown, field = ''): string[] {
  try {
    build();
  } catch (error) {
    if (error instanceof ConfigurationError) return error.message.includes(field) ? ['`lib/settings.ts`'] : [];
    return ['the construct'];
  }
  return [];
}
