/**
 * The connection of a transaction, as it is lent to a write function for as long as that runs.
 *
 * A write function may forget to wait, or fail in one of several things that it does at once. What it goes on with
 * would reach PostgreSQL behind the rollback or the commit, each statement a transaction of its own or a part of the
 * next batch's.
 *
 * Holds always: after `takeBack` began, no statement of the write function is sent; none that it sends ends the
 * transaction or begins another; the connection stays the inbox writer's own. Only the inbox writer uses it.
 */
import type pg from 'pg';

/** Going back to a savepoint ends no transaction. */
const TRANSACTION_CONTROL =
  /(abort|begin|commit|end|prepare\s+transaction|rollback(?!(\s+(work|transaction))?\s+to)|start\s+transaction)\b/iy;
/** What PostgreSQL passes over before a statement, but for comments that may nest. */
const PASSED_OVER = /(?:\s|;|--[^\r\n]*)+/y;

const KEPT_CALLS: readonly PropertyKey[] = ['connect', 'end', 'release'];

export class LentConnection {
  /** What the write function is handed. */
  readonly client: pg.ClientBase;
  readonly #underWay = new Set<Promise<unknown>>();
  #isTakenBack = false;
  #fault: Error | undefined;

  constructor(client: pg.ClientBase) {
    const query = (...parameters: readonly unknown[]): unknown => this.#query(client, parameters);
    this.client = new Proxy(client, {
      get: (target, property): unknown => {
        if (property === 'query') return query;
        if (KEPT_CALLS.includes(property)) return () => this.#refuse(`call ${String(property)} on its connection`);
        return Reflect.get(target, property);
      },
    });
  }

  /**
   * The write has ended, well or not. Waits for the statements that it did not wait for, each of which ends by its own
   * timeout.
   *
   * @returns why the transaction may not be committed, whatever the write made of it.
   */
  async takeBack(): Promise<Error | undefined> {
    this.#isTakenBack = true;
    if (this.#underWay.size > 0) {
      this.#fault ??= new Error('the write did not wait for its own statements, so nothing was committed');
      await Promise.allSettled(this.#underWay);
    }
    return this.#fault;
  }

  #query(client: pg.ClientBase, parameters: readonly unknown[]): unknown {
    const callback = parameters.at(-1);
    if (typeof callback === 'function') {
      const result = Promise.resolve(this.#query(client, parameters.slice(0, -1)));
      result.then(
        (answer) => callback(null, answer),
        (error: unknown) => callback(error),
      );
      return undefined;
    }
    // Never answered: nobody may be there to hear of an error, which would end the process then.
    if (this.#isTakenBack) return new Promise(() => {});
    const [query, ...values] = parameters;
    const control = transactionControlIn(textOf(query));
    if (control !== undefined) return this.#refuse(`end its transaction (${control})`);
    const result: unknown = Reflect.apply(client.query, client, [alone(query), ...values]);
    if (!(result instanceof Promise)) return result;
    this.#underWay.add(result);
    const ended = () => this.#underWay.delete(result);
    result.then(ended, ended);
    return result;
  }

  /** A rejection that nobody listens to must not end the process: the fault is kept. */
  #refuse(what: string): Promise<never> {
    const fault = new Error(`the write may not ${what}, so nothing was committed`);
    this.#fault ??= fault;
    const refused = Promise.reject(fault);
    refused.catch(() => {});
    return refused;
  }
}

function textOf(query: unknown): string {
  if (typeof query === 'string') return query;
  return typeof query === 'object' && query !== null && 'text' in query ? String(query.text) : '';
}

/** The command at the text's beginning, if it ends a transaction or begins one. */
function transactionControlIn(text: string): string | undefined {
  let at = 0;
  for (let before = -1; at !== before; ) {
    before = at;
    PASSED_OVER.lastIndex = at;
    at += PASSED_OVER.exec(text)?.[0].length ?? 0;
    if (text.startsWith('/*', at)) at = endOfComment(text, at);
  }
  TRANSACTION_CONTROL.lastIndex = at;
  return TRANSACTION_CONTROL.exec(text)?.[1];
}

/** PostgreSQL's comments nest. */
function endOfComment(text: string, start: number): number {
  const marks = /\/\*|\*\//g;
  marks.lastIndex = start;
  let depth = 0;
  for (let mark = marks.exec(text); mark !== null; mark = marks.exec(text)) {
    depth += mark[0] === '/*' ? 1 : -1;
    if (depth === 0) return marks.lastIndex;
  }
  return text.length;
}

/**
 * In PostgreSQL's extended protocol a text is one statement, and none can hide behind another: two are refused, with
 * 42601. (PostgreSQL, Extended Query)
 */
function alone(query: unknown): unknown {
  if (typeof query === 'string') return { text: query, queryMode: 'extended' };
  if (typeof query !== 'object' || query === null || 'submit' in query) return query;
  return Object.create(query, { queryMode: { value: 'extended' } });
}
