/**
 * CloudWatch's metric math, as far as the scaling of fleets uses it, for one point in time.
 *
 * Where CloudWatch's documentation leaves open what a missing point does, it is strict: whatever a missing point
 * takes part in is missing, in the branch of an IF that is not taken too. Only FILL ends that.
 *
 * Holds always: a function or a name that it does not know is an error, never a value.
 */

/** A point, or undefined where there is none. */
export type Point = number | undefined;

const TOKEN = /\s*(\d+(?:\.\d+)?|[A-Za-z_]\w*|>=|<=|==|!=|[-+*/()<>,])/y;

const BINARY: Readonly<
  Record<string, { readonly binds: number; readonly apply: (one: number, other: number) => Point }>
> = {
  OR: { binds: 1, apply: (one, other) => Number(one !== 0 || other !== 0) },
  AND: { binds: 2, apply: (one, other) => Number(one !== 0 && other !== 0) },
  '<': { binds: 3, apply: (one, other) => Number(one < other) },
  '>': { binds: 3, apply: (one, other) => Number(one > other) },
  '<=': { binds: 3, apply: (one, other) => Number(one <= other) },
  '>=': { binds: 3, apply: (one, other) => Number(one >= other) },
  '==': { binds: 3, apply: (one, other) => Number(one === other) },
  '!=': { binds: 3, apply: (one, other) => Number(one !== other) },
  '+': { binds: 4, apply: (one, other) => one + other },
  '-': { binds: 4, apply: (one, other) => one - other },
  '*': { binds: 5, apply: (one, other) => one * other },
  // CloudWatch gives no point where the divisor is zero.
  '/': { binds: 5, apply: (one, other) => (other === 0 ? undefined : one / other) },
};

const FUNCTIONS: Readonly<Record<string, (...points: Point[]) => Point>> = {
  IF: (condition, one, other) => {
    if (condition === undefined || one === undefined || other === undefined) return undefined;
    return condition === 0 ? other : one;
  },
  FILL: (point, value) => point ?? value,
};

/** @throws Error naming what it cannot read. */
export function evaluateMetricMath(expression: string, pointOf: (id: string) => Point): Point {
  const tokens = tokensOf(expression);
  let position = 0;
  const fail = (what: string): never => {
    throw new Error(`metric math ${JSON.stringify(expression)}: ${what}`);
  };
  const take = (expected: string) => {
    if (tokens[position] !== expected) fail(`expected ${expected}, found ${tokens[position] ?? 'the end'}`);
    position += 1;
  };
  const binary = (bindsAtLeast: number): Point => {
    let left = operand();
    for (
      let operator = BINARY[tokens[position] ?? ''];
      operator !== undefined;
      operator = BINARY[tokens[position] ?? '']
    ) {
      if (operator.binds < bindsAtLeast) break;
      position += 1;
      const right = binary(operator.binds + 1);
      left = left === undefined || right === undefined ? undefined : operator.apply(left, right);
    }
    return left;
  };
  const operand = (): Point => {
    const token = tokens[position] ?? fail('it ends too early');
    position += 1;
    if (token === '(') {
      const inner = binary(1);
      take(')');
      return inner;
    }
    if (/^\d/.test(token)) return Number(token);
    if (tokens[position] !== '(') return pointOf(token);
    const call = FUNCTIONS[token] ?? fail(`the function ${token} is not known here`);
    position += 1;
    const points = [binary(1)];
    while (tokens[position] === ',') {
      position += 1;
      points.push(binary(1));
    }
    take(')');
    if (points.length !== call.length) fail(`${token} takes ${call.length} arguments, found ${points.length}`);
    return call(...points);
  };
  const result = binary(1);
  if (position < tokens.length) fail(`${tokens[position]} is left over`);
  return result;
}

function tokensOf(expression: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  const text = expression.trimEnd();
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw new Error(`metric math ${JSON.stringify(expression)}: cannot read ${text.slice(at)}`);
    tokens.push(match[1]!);
  }
  return tokens;
}
