/** What becomes of the answer of the migration step where S3 refuses it, drags it out or is not there. */
import { createServer } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { findFreePort, portOf } from '../../../local/machine/ports.ts';
import { afterwards } from '../../local/machine/machine.ts';
import { cloudFormation, invoke } from './lambda.ts';

/** Takes the second call; the first hears of its header, byte for byte, for as long as it listens. */
async function drippingOnce() {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.on('error', () => {});
    socket.resume();
    if (connections > 1) {
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      return;
    }
    socket.write('HTTP/1.1 200 OK\r\nx-drip: ');
    const drip = setInterval(() => socket.write('.'), 500);
    socket.on('close', () => clearInterval(drip));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterwards(() => {
    server.close();
  });
  return { url: `http://127.0.0.1:${portOf(server)}/answer` };
}

describe('the answer', () => {
  test('refused says why, by its status, and not that the way is closed', async () => {
    const meanings = { 403: 'the address has expired', 307: 'of another region', 500: 'S3 is at fault' };
    // At once, because each is put again for five seconds.
    const calls = Object.entries(meanings).map(async ([code, meaning]) => {
      const { url } = await cloudFormation(() => Number(code));
      return { code, meaning, ...(await invoke({ type: 'Delete', responseUrl: url })) };
    });
    for (const { code, meaning, status, output } of await Promise.all(calls)) {
      expect(status).not.toBe(0);
      expect(output).toMatch(
        new RegExp(
          `Error: cannot answer CloudFormation at 127\\.0\\.0\\.1:\\d+: it was answered with status ${code}: .*${meaning}`,
        ),
      );
      expect(output).not.toContain('of-nobody');
    }
  });

  test('is put again when the response comes a byte at a time and never ends', async () => {
    const { url } = await drippingOnce();
    expect(await invoke({ type: 'Delete', responseUrl: url })).toMatchObject({ status: 0 });
  });

  test('that nobody takes ends the call as failed, so that Lambda calls again, without showing the URL', async () => {
    const responseUrl = `http://127.0.0.1:${await findFreePort()}/answer?signature=of-nobody`;
    const { status, output } = await invoke({ type: 'Delete', responseUrl });
    expect(status).not.toBe(0);
    expect(output).toMatch(/cannot answer CloudFormation at 127\.0\.0\.1:\d+; open a way to S3/);
    expect(output).not.toContain('of-nobody');
  });
});
