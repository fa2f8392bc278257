/** What can be wrong with a template, one at a time, by what it is about. */
import { alarms } from './alarms.ts';
import { database } from './database.ts';
import { fleets } from './fleets.ts';
import { identities } from './identities.ts';
import { keys } from './keys.ts';
import { migration } from './migration.ts';
import { network } from './network.ts';
import type { TemplateDefect } from './planting.ts';
import { policies } from './policies.ts';
import { programs } from './programs.ts';
import { queues } from './queues.ts';
import { scaling } from './scaling.ts';
import { secrets } from './secrets.ts';
import { unit } from './unit.ts';
import { userData } from './user-data.ts';
import { whole } from './whole.ts';

/** By what they are about. */
export const templateDefects: Readonly<Record<string, readonly TemplateDefect[]>> = {
  queues,
  policies,
  'roles and names': identities,
  'keys and storage': keys,
  network,
  fleets,
  'user data': userData,
  'programs of an instance': programs,
  'the unit': unit,
  secrets,
  scaling,
  alarms,
  database,
  'the migration': migration,
  'the whole': whole,
};
