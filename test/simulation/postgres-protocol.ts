/** What a client sends on a connection, and what it is answered: the rows, or the error by its SQLSTATE. */
import { DatabaseError } from 'pg';

export interface Statement {
  readonly name: string;
  readonly values: readonly unknown[];
}

export type Answer =
  /** PostgreSQL's own word for what it did; read of a commit alone. */
  { readonly rows: readonly unknown[]; readonly command?: string } | { readonly error: DatabaseError };

export function failed(state: string, message: string): { readonly error: DatabaseError } {
  const error = new DatabaseError(message, message.length, 'error');
  error.code = state;
  return { error };
}
