/** What of docs/stages.md and docs/network.md is made of the templates and the prices. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Stack } from 'aws-cdk-lib';
import { configurationOf, stageNames } from '../../lib/config.ts';
import type { NetworkSettings } from '../../lib/settings.ts';
import { type BuiltStage, builtStage, networkAlone } from './built-stage.ts';
import { type CostLine, idleCost, priceList, totalUsd } from './idle-cost.ts';
import type { Resource, Synthesized } from './synthesized.ts';

const DOCUMENTS = ['docs/stages.md', 'docs/network.md'];
const MADE = /(<!-- made by `npm run stages`: (\w+) -->)[\s\S]*?(<!-- end -->)/g;

export interface StageDocument {
  readonly path: string;
  /** As it is on the disk. */
  readonly text: string;
  /** As it should be. The text around the marks is a person's. */
  readonly wanted: string;
}

/** @throws Error when a document has lost its marks, or has one that nothing is made for. */
export function stageDocuments(stages: readonly BuiltStage[]): StageDocument[] {
  const parts: Readonly<Record<string, string>> = {
    costs: stageTable(stages),
    egress: egressTable(),
    order: orderPicture(stages[0]!),
  };
  const left = new Set(Object.keys(parts));
  const documents = DOCUMENTS.map((path) => {
    const text = readFileSync(inRepository(path), 'utf8');
    const wanted = text.replaceAll(MADE, (_, begin: string, name: string, end: string) => {
      if (!left.delete(name)) throw new Error(`${path} has a mark "${name}", which nothing is made for; take it out.`);
      return `${begin}\n\n${parts[name]}\n\n${end}`;
    });
    return { path, text, wanted };
  });
  if (left.size > 0) throw new Error(`${DOCUMENTS.join(' and ')} have lost their marks: ${[...left].join(', ')}`);
  return documents;
}

export function writeStageDocuments(): void {
  const stages = stageNames.map((stage) => builtStage(configurationOf(stage)));
  for (const { path, wanted } of stageDocuments(stages)) writeFileSync(inRepository(path), wanted);
}

/** Which stack is deployed after which, as CloudFormation has to do it. */
function orderPicture({ stacks }: BuiltStage): string {
  const entries: [name: string, stack: Stack][] = Object.entries(stacks);
  const nameOf = (stack: Stack) => entries.find(([, other]) => other === stack)![0];
  const edges = entries.flatMap(([name, stack]) =>
    stack.dependencies.map((earlier) => `${nameOf(earlier)} --> ${name}`),
  );
  return ['```mermaid', 'flowchart LR', ...edges.sort().map((edge) => `    ${edge}`), '```'].join('\n');
}

/** What each stage costs, by price. */
function stageTable(stages: readonly BuiltStage[]): string {
  const columns = stages.flatMap(({ stage, app }) => {
    const kept = withMinimum(app, 1);
    const more = kept === app ? [] : [{ name: `${stage} with an instance in each fleet`, lines: idleCost(kept) }];
    return [{ name: stage, lines: idleCost(app) }, ...more];
  });
  return table('a month without work, in US dollars', columns);
}

/** The same app with at least that many instances in each fleet; itself where it has them. */
function withMinimum(app: Synthesized, minimum: number): Synthesized {
  const isSmaller = ({ type, properties }: Resource) =>
    type === 'AWS::AutoScaling::AutoScalingGroup' && Number(properties.MinSize) < minimum;
  if (!app.resources.some(isSmaller)) return app;
  const resources = app.resources.map((resource) =>
    isSmaller(resource) ? { ...resource, properties: { ...resource.properties, MinSize: String(minimum) } } : resource,
  );
  return { ...app, resources };
}

/** What the ways to AWS's services cost, without anything else of the network. */
function egressTable(): string {
  const { cidr, availabilityZones, flowLogRetentionDays } = configurationOf('dev').network;
  const common = { cidr, availabilityZones, flowLogRetentionDays };
  const choices: readonly { readonly name: string; readonly network: NetworkSettings }[] = [
    { name: 'endpoints, 1 zone', network: { ...common, egress: 'endpoints', endpointZones: 1 } },
    { name: 'endpoints, 2 zones', network: { ...common, egress: 'endpoints', endpointZones: 2 } },
    { name: 'nat, 1 gateway', network: { ...common, egress: 'nat', natGateways: 1 } },
    { name: 'nat, 2 gateways', network: { ...common, egress: 'nat', natGateways: 2 } },
  ];
  const columns = choices.map(({ name, network }) => ({
    name,
    lines: idleCost(networkAlone(network)).filter(({ what }) => what !== 'KMS key'),
  }));
  return table('a month without work, in US dollars', columns);
}

function table(
  title: string,
  columns: readonly { readonly name: string; readonly lines: readonly CostLine[] }[],
): string {
  const names = [...Object.keys(priceList.prices), ...Object.keys(priceList.notFound)];
  const used = names.filter((what) => columns.some(({ lines }) => lines.some((line) => line.what === what)));
  const rows = used.map((what) => [
    what,
    ...columns.map(({ lines }) => cell(lines.find((line) => line.what === what))),
  ]);
  const total = ['**together**', ...columns.map(({ lines }) => `**${totalUsd(lines).toFixed(2)}**`)];
  return [
    `| ${[title, ...columns.map(({ name }) => name)].join(' | ')} |`,
    `| --- |${' ---: |'.repeat(columns.length)}`,
    ...[...rows, total].map((cells) => `| ${cells.join(' | ')} |`),
  ].join('\n');
}

function cell(line: CostLine | undefined): string {
  if (line === undefined) return '';
  const { quantity, usdPerMonth } = line;
  return `${quantity}: ${usdPerMonth === undefined ? 'price not found' : usdPerMonth.toFixed(2)}`;
}

function inRepository(path: string): URL {
  return new URL(`../../${path}`, import.meta.url);
}
