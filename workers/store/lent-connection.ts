/**
 * The connection of a transaction, as it is lent to a write function for as long as that runs.
 *
 * A write function may forget to wait, or fail in one of several things that it does at once. What it goes on with
 * would reach PostgreSQL behind the rollback or the commit, each statement a transaction of its own or a part of the
 * next batch's.
 *
 * Holds always: after `takeBack` began, no statement of the write function is sent; none that it sends ends the
 * transaction or begins another, but for one that hides behind another in the same text. Only the inbox writer uses it.
 */
import type pg from 'pg';

/** Going back to a savepoint ends no transaction. */
const TRANSACTION_CONTROL =
  /^\s*(abort|begin|commit|end|prepare\s+transaction|rollback(?!(\s+(work|transaction))?\s+to)|start\s+transaction)\b/i;

export class LentConnection {
  /** What the write function is handed. */
  readonly client: pg.ClientBase;
  readonly #underWay = new Set<Promise<unknown>>();
  #isTakenBack = false;
  #fault: Error | undefined;

  constructor(client: pg.ClientBase) {
    const query = (...parameters: readonly unknown[]): unknown => this.#query(client, parameters);
    this.client = new Proxy(client, {
      get: (target, property): unknown => (property === 'query' ? query : Reflect.get(target, property)),
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
    // Never answered: nobody may be there to hear of an error, which would end the process then.
    if (this.#isTakenBack) return new Promise(() => {});
    const control = TRANSACTION_CONTROL.exec(textOf(parameters[0]))?.[1];
    if (control !== undefined) {
      const fault = new Error(`the write may not end its transaction (${control}), so nothing was committed`);
      this.#fault ??= fault;
      return heard(Promise.reject(fault));
    }
    const result: unknown = Reflect.apply(client.query, client, parameters);
    if (!(result instanceof Promise)) return result;
    this.#underWay.add(result);
    const ended = () => this.#underWay.delete(result);
    result.then(ended, ended);
    return result;
  }
}

function textOf(query: unknown): string {
  if (typeof query === 'string') return query;
  return typeof query === 'object' && query !== null && 'text' in query ? String(query.text) : '';
}

/** A rejection that nobody listens to must not end the process: the fault is kept. */
function heard(rejected: Promise<never>): Promise<never> {
  rejected.catch(() => {});
  return rejected;
}
