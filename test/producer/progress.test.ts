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

test('progress on a terminal is a bar with count, rate and time left', async () => {
  const output = written(true);
  const shown = showProgress({ title: 'sending', unit: 'messages', total: 400, stream: output.stream });
  shown.update(100);
  shown.end();
  await new Promise(setImmediate);
  expect(output.text()).toContain(ESCAPE);
  expect(output.text()).toMatch(/100\/400 messages, \d+\/s, .* left/);
});
