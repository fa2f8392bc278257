import { describe, expect, test } from '@jest/globals';
import { DatabaseError } from 'pg';
import { readFailure } from '../../../workers/store/database-failure.ts';

const withState = (code: string) => Object.assign(new DatabaseError('refused', 0, 'error'), { code });

describe('a statement that failed', () => {
  test('for a client that gave up waiting is the database’s trouble, though its connection answers again', () => {
    expect(readFailure(new Error('Query read timeout'), true).name).toBe('away');
  });

  test('in the write function, on a connection that works, is a fault of the program', () => {
    expect(readFailure(new TypeError('x is undefined'), true).name).toBe('fault');
    expect(readFailure(new TypeError('x is undefined'), false).name).toBe('away');
  });

  test.each([
    [Object.assign(new Error(), { message: { code: 5 } }), /code: 5/],
    [Object.create(null), /Object: null prototype/],
    ['embargoed', /^embargoed$/],
    [undefined, /^undefined$/],
  ])('has a reason in words, whatever was thrown', (thrown: unknown, words) => {
    expect(readFailure(thrown, true)).toEqual({ name: 'fault', reason: expect.stringMatching(words) });
  });

  test.each([
    ['22003', 'data'],
    ['23505', 'data'],
    ['54000', 'data'],
    ['P0001', 'data'],
    ['40001', 'conflict'],
    ['40P01', 'conflict'],
    ['55P03', 'away'],
    ['57P01', 'away'],
    ['53100', 'away'],
    ['25006', 'away'],
    ['25P01', 'fault'],
    ['25P02', 'fault'],
    ['42P01', 'away'],
    ['42601', 'fault'],
    ['XX001', 'away'],
    ['44000', 'data'],
    ['21000', 'fault'],
    ['54001', 'fault'],
    ['P0002', 'fault'],
    ['MINE1', 'fault'],
  ])('with SQLSTATE %s is %s', (state, name) => {
    expect(readFailure(withState(state), true).name).toBe(name);
  });
});
