import { PassThrough } from 'node:stream';
import { WriteStream } from 'node:tty';
import { describe, expect, test } from '@jest/globals';
import { showProgress } from '../../producer/progress.ts';

const ESCAPE = '\u001b';

function written(isTTY: boolean) {
  let text = '';
  const stream = new PassThrough();
  stream.on('data', (chunk) => {
    text += String(chunk);
  });
  // What a terminal has and a pipe has not; cli-progress asks for these and writes escape sequences.
  const terminal = {
    isTTY,
    columns: 80,
    cursorTo: WriteStream.prototype.cursorTo,
    clearLine: WriteStream.prototype.clearLine,
  };
  return { stream: Object.assign(stream, terminal), text: () => text };
}

describe('progress that goes to a file', () => {
  test('is a line at most every five seconds and one at the end, without colour', async () => {
    const output = written(false);
    let nowMs = 0;
    const shown = showProgress({
      title: 'sending',
      unit: 'messages',
      total: 400,
      stream: output.stream,
      nowMs: () => nowMs,
    });
    for (nowMs = 0; nowMs <= 12_000; nowMs += 100) shown.update(nowMs / 100);
    nowMs = 40_000;
    shown.update(400);
    shown.end();
    await new Promise(setImmediate);
    expect(output.text()).toBe(
      'sending: 50 of 400 messages, 10/s, 35 s left\n' +
        'sending: 100 of 400 messages, 10/s, 30 s left\n' +
        'sending: 400 of 400 messages, 10/s, 0 s left\n' +
        'sending: 400 of 400 messages, 10/s, 40.0 s in all\n',
    );
  });

  test('names no unit where the title says what is counted', async () => {
    const output = written(false);
    const shown = showProgress({ title: 'schedules', unit: '', total: 3, stream: output.stream, nowMs: () => 0 });
    shown.end();
    await new Promise(setImmediate);
    expect(output.text()).toBe('schedules: 0 of 3, 0/s, 0.0 s in all\n');
  });

  test('says how far it came when it ends early', async () => {
    const output = written(false);
    const shown = showProgress({
      title: 'sending',
      unit: 'messages',
      total: 400,
      stream: output.stream,
      nowMs: () => 0,
    });
    shown.update(7);
    shown.end();
    await new Promise(setImmediate);
    expect(output.text()).toBe('sending: 7 of 400 messages, 0/s, 0.0 s in all\n');
  });
});

describe('progress that is to be quiet at first', () => {
  function shown(isTTY: boolean, endMs: number) {
    const output = written(isTTY);
    let nowMs = 0;
    const options = { title: 'reading', unit: 'kB', total: 6_000, stream: output.stream, quietMs: 1_000 };
    const progress = showProgress({ ...options, nowMs: () => nowMs });
    for (; nowMs < endMs; nowMs += 100) progress.update(nowMs);
    progress.end();
    return new Promise<string>((resolve) => setImmediate(() => resolve(output.text())));
  }

  test('says nothing of what is over before that, to a file or to a terminal', async () => {
    expect(await shown(false, 900)).toBe('');
    expect(await shown(true, 900)).toBe('');
  });

  test('begins then, and goes on as any other', async () => {
    expect(await shown(false, 6_000)).toBe(
      'reading: 1000 of 6000 kB, 1000/s, 5 s left\n' + 'reading: 5900 of 6000 kB, 983/s, 6.0 s in all\n',
    );
    expect(await shown(true, 2_000)).toMatch(/1900\/6000 kB, \d+\/s/);
  });
});

test('progress on a terminal is a bar with count, rate and time left', async () => {
  const output = written(true);
  const shown = showProgress({ title: 'sending', unit: 'messages', total: 400, stream: output.stream });
  shown.update(100);
  shown.end();
  await new Promise(setImmediate);
  expect(output.text()).toContain(ESCAPE);
  expect(output.text()).toMatch(/100\/400 messages, \d+\/s, .* left/);
});
