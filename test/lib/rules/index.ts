/** All rules, by the sentence that they hold the templates to. */
import { configurationRules } from './configuration.ts';
import { databaseRules } from './database.ts';
import { expressionRules } from './expressions.ts';
import { fleetRules } from './fleets.ts';
import { identityRules } from './identities.ts';
import { keyRules } from './keys.ts';
import { migrationRules } from './migration.ts';
import { networkRules } from './network.ts';
import { policyRules } from './policies.ts';
import { programRules } from './programs.ts';
import { queueRules } from './queues.ts';
import { reachRules } from './reach.ts';
import { referenceRules } from './references.ts';
import { scalingRules } from './scaling.ts';
import { secretRules } from './secrets.ts';
import type { Finding, Rule, Stage } from './stage.ts';
import { unitRules } from './unit.ts';
import { userDataRules } from './user-data.ts';
import { watchingRules } from './watching.ts';

export const rules = {
  ...referenceRules,
  ...queueRules,
  ...policyRules,
  ...identityRules,
  ...keyRules,
  ...networkRules,
  ...reachRules,
  ...fleetRules,
  ...userDataRules,
  ...programRules,
  ...unitRules,
  ...scalingRules,
  ...watchingRules,
  ...expressionRules,
  ...databaseRules,
  ...migrationRules,
  ...configurationRules,
  ...secretRules,
} satisfies Record<string, Rule>;

export type RuleName = keyof typeof rules;

export const ruleNames = Object.keys(rules).filter((name): name is RuleName => name in rules);

/** A rule that cannot read what it looks at has found something, too: an ordinary test would fail with the error. */
export function findingsOf(name: RuleName, stage: Stage): readonly Finding[] {
  try {
    return rules[name](stage);
  } catch (error) {
    return [{ where: `sluice-${stage.name}`, problem: `cannot be read: ${String(error)}` }];
  }
}
