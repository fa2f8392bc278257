/**
 * Nothing in a template, and nothing in what an instance runs, is a secret.
 *
 * Whoever may look at a stack, a launch template or an instance's metadata reads all of it. A secret is told by where it
 * stands, by what it looks like, or by how little can be said about it: a long text with hardly a character twice, which
 * is no hash of an asset and no name of an export.
 */
import { type Resource, valuesIn } from '../synthesized.ts';
import { type Finding, found, type Rule } from './stage.ts';

/** Keys under which a secret would stand; what is known to be none is named beside it. */
const SECRET_KEY = /passw|secret|token|credential|private_?key|api_?key|connection_?string/i;
const NO_SECRET_KEYS = ['HttpTokens', 'ManageMasterUserPassword', 'MasterUserSecret', 'DATABASE_SECRET_ARN'];
/** A secret access key of AWS has forty characters of base64, and no other sign. */
const ACCESS_KEY_CHARACTERS = 40;
const SECRETS: Readonly<Record<string, RegExp>> = {
  'an access key of AWS': /\b(AKIA|ASIA)[0-9A-Z]{16}\b/,
  'a private key': /-----BEGIN [A-Z ]*PRIVATE KEY/,
  'a password in an address': /\b[a-z][a-z0-9+.-]*:\/\/[^/\s:@]+:[^/\s@]+@/i,
  'a dynamic reference, which resolves to a secret': /\{\{resolve:(secretsmanager|ssm-secure|ssm):/,
  'a token of a known service':
    /\b(gh[pousr]_[A-Za-z0-9]{36}|xox[abprs]-[A-Za-z0-9-]{10,}|sk_live_[A-Za-z0-9]{16,}|eyJ[A-Za-z0-9_-]{10,}\.eyJ)/,
  'an assignment of a secret':
    /\b\w*(password|passwd|secret_?key|api_?key|token)\w*\s*[=:]\s*["']?(?!\$\{)[^\s"'$<{]{6,}/i,
};
/** Shorter ones are names. */
const CHANCE_MIN_CHARACTERS = 20;
/** For each character, of Shannon's; 32 hexadecimal digits have about 3.5. */
const CHANCE_MIN_BITS = 3.3;
/** Of neighbours of different kinds, but for the capital that begins a word: half of them and more in what is random. */
const CHANCE_MIN_CHANGES = 0.18;
/** Hashes of assets, and what the CDK makes of logical ids. */
const HASHES = /[0-9a-f]{64}|ExportsOutput\w+|SsmParameterValue\w+/g;
const WORD = /[A-Za-z0-9+/]{20,}/g;

export const secretRules = {
  'nothing in a template is a secret': (stage) => [
    ...stage.resources.flatMap((resource) => secretsOf(resource, resource.properties)),
    ...Object.entries(stage.templates).flatMap(([stack, { Resources: _, ...rest }]) =>
      secretsOf({ stack, id: 'outputs' }, rest),
    ),
  ],

  'nothing that an instance runs is a secret': (stage) =>
    stage.fleets.flatMap(({ template, script, variables }) => secretsOf(template, rendered(script, variables))),
} satisfies Record<string, Rule>;

/** The script with the values of its variables, as an instance gets it. */
function rendered(script: string, variables: Readonly<Record<string, unknown>>): string {
  return script.replaceAll(/\$\{(?!!)([^}]*)\}/g, (_, name: string) => {
    const value = variables[name];
    return typeof value === 'string' ? value : `<${name}>`;
  });
}

function secretsOf(resource: Pick<Resource, 'stack' | 'id'>, root: unknown): Finding[] {
  return secretsIn(root).map((what) => found(resource, `has ${what}`));
}

const known = new WeakMap<object, readonly string[]>();

function secretsIn(root: unknown): readonly string[] {
  if (typeof root !== 'object' || root === null) return readSecrets(root);
  const secrets = known.get(root) ?? readSecrets(root);
  known.set(root, secrets);
  return secrets;
}

function readSecrets(root: unknown): string[] {
  return [...valuesIn(root)].flatMap(({ key, value }) => {
    if (typeof value !== 'string') return [];
    const problems = Object.entries(SECRETS).flatMap(([what, pattern]) => (pattern.test(value) ? [what] : []));
    if (SECRET_KEY.test(key) && !NO_SECRET_KEYS.includes(key) && value !== '') problems.push(`something under ${key}`);
    const chance = value
      .replaceAll(HASHES, '')
      .match(WORD)
      ?.find((word) => isByChance(word) && !isLogicalId(word));
    if (chance !== undefined) problems.push(`${chance.slice(0, 4)}…, which looks like chance`);
    return problems;
  });
}

function isByChance(word: string): boolean {
  const changes = word.match(/(?=[a-z][A-Z0-9]|[A-Z][0-9]|[0-9][A-Za-z])/g)?.length ?? 0;
  const kinds = [/[a-z]/, /[A-Z]/, /\d/].filter((kind) => kind.test(word)).length;
  if (word.length === ACCESS_KEY_CHARACTERS && kinds === 3) return true;
  return (
    word.length >= CHANCE_MIN_CHARACTERS &&
    /\d.*\d/.test(word) &&
    changes / word.length >= CHANCE_MIN_CHANGES &&
    bitsOf(word) >= CHANCE_MIN_BITS
  );
}

/** A name that the CDK made: words, and a hash of eight digits at their end. */
function isLogicalId(word: string): boolean {
  return /^[A-Z][A-Za-z0-9]+[0-9A-F]{8}$/.test(word) && !isByChance(word.slice(0, -8));
}

/** Shannon's, of each character. */
function bitsOf(word: string): number {
  const counts = Map.groupBy(word, (character) => character);
  return [...counts.values()].reduce(
    (total, { length }) => total - (length / word.length) * Math.log2(length / word.length),
    0,
  );
}
