/** Whatever a template refers to is there, and nothing waits for itself. */
import { circlesIn } from '../queue-model.ts';
import { valuesIn } from '../synthesized.ts';
import { type Finding, found, listOf, type Rule, type Stage, valueAt } from './stage.ts';

const SUBSTITUTED = /\$\{(?!!)([^}]*)\}/g;

export const referenceRules = {
  'whatever is referred to is there': (stage) =>
    Object.entries(stage.templates).flatMap(([stack, template]) => {
      const parameters = Object.keys(Object(template.Parameters));
      const isThere = (id: string) =>
        id.startsWith('AWS::') || parameters.includes(id) || stage.named(stack, id) !== undefined;
      const { Resources, Outputs } = template;
      return Object.entries({ ...Resources, ...Object(Outputs) }).flatMap(([id, resource]) => {
        const missing = [...valuesIn(resource)].flatMap(({ value }) => idsIn(value).filter((other) => !isThere(other)));
        const dependencies = stage.dependencies({ stack, id });
        const exports = [...valuesIn(resource)].flatMap(({ key, value }) =>
          key === 'Fn::ImportValue' && !stage.isExported(value) ? [String(value)] : [],
        );
        return [...missing, ...dependencies.filter((other) => !isThere(other)), ...exports].map((other) =>
          found({ stack, id }, `refers to ${other}, which is not there`),
        );
      });
    }),

  'nothing waits for itself': (stage) =>
    circlesIn(stage.templates).map((where): Finding => ({ where, problem: 'waits for itself' })),

  'nothing names an account or a region': (stage) => placesIn(stage),
} satisfies Record<string, Rule>;

/** A property may be called `Ref`, too: what is no text is no reference. */
function idsIn(value: unknown): string[] {
  const ref = valueAt(value, 'Ref');
  const attribute = valueAt(value, 'Fn::GetAtt', 0);
  const [text, variables] = listOf(valueAt(value, 'Fn::Sub'));
  const substituted = typeof text === 'string' ? [...text.matchAll(SUBSTITUTED)].map((match) => match[1]!) : [];
  return [
    ...[ref, attribute].filter((id) => typeof id === 'string'),
    ...substituted.filter((name) => valueAt(variables, name) === undefined).map((name) => name.split('.')[0]!),
  ];
}

/** Digits of a hash are no account. */
function placesIn(stage: Stage): Finding[] {
  return stage.resources.flatMap((resource) =>
    [...valuesIn(resource.properties)].flatMap(({ value }) => {
      const text = typeof value === 'string' ? value.replaceAll(/[0-9a-f]{64}/g, '') : '';
      const place = /\b\d{12}\b|\b(us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-\d\b/.exec(text)?.[0];
      return place === undefined ? [] : [found(resource, `names ${place}`)];
    }),
  );
}
