/**
 * A file on disk as a stream of its content, gunzipped if the content is gzip.
 *
 * Content decides, not the name; only a name that promises gzip and breaks the promise is an error, since
 * what is inside is then anyone's guess.
 *
 * Holds always: who opens it closes it; reading the content to its end or leaving it early closes nothing.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { RetailFileError } from './retail-file-error.ts';

/** Read and gunzip in pieces of this size: four times the default of streams, a third fewer turns of the loop. */
const CHUNK_BYTES = 256 * 1024;

const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);

/** Tells whether a path still leads to the same bytes. */
export interface Fingerprint {
  readonly device: bigint;
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  readonly modifiedNs: bigint;
}

export interface InputFile {
  readonly fingerprint: Fingerprint;
  /** The content, once; end the loop early to close the file early. */
  content(): AsyncGenerator<Buffer>;
  /** How much of the file the content has taken so far: compressed, where it is. */
  bytesRead(): number;
  /** The fingerprint now, to compare with the one at the start. */
  fingerprintNow(): Promise<Fingerprint>;
  close(): Promise<void>;
}

export async function openInputFile(path: string): Promise<InputFile> {
  // Without O_NONBLOCK, opening a named pipe would wait for somebody to write to it.
  const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch((error: unknown) => {
    throw notOpened(path, error);
  });
  try {
    const stat = await handle.stat();
    if (stat.isDirectory()) throw new RetailFileError(path, undefined, 'it is a directory. Name a csv file in it.');
    if (!stat.isFile()) {
      throw new RetailFileError(
        path,
        undefined,
        'it is not a regular file, and it has to be read twice. Save it first.',
      );
    }
    const isGzip = await startsAsGzip(path, handle);
    const fingerprint = await fingerprintOf(handle);
    let bytesRead = 0;
    const bytes = () => bytesOf(handle, (endBytes) => (bytesRead = endBytes));
    return {
      fingerprint,
      content: () => contentOf(path, bytes(), isGzip),
      bytesRead: () => bytesRead,
      fingerprintNow: () => fingerprintOf(handle),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

export function sameFile(one: Fingerprint, other: Fingerprint): boolean {
  return (
    one.device === other.device &&
    one.inode === other.inode &&
    one.sizeBytes === other.sizeBytes &&
    one.modifiedNs === other.modifiedNs
  );
}

async function fingerprintOf(handle: FileHandle): Promise<Fingerprint> {
  const stat = await handle.stat({ bigint: true });
  return { device: stat.dev, inode: stat.ino, sizeBytes: stat.size, modifiedNs: stat.mtimeNs };
}

async function startsAsGzip(path: string, handle: FileHandle): Promise<boolean> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(3), 0, 3, 0);
  if (bytesRead === 0) {
    throw new RetailFileError(
      path,
      undefined,
      'the file is empty. It needs a line of column names and lines of orders.',
    );
  }
  if (buffer.subarray(0, 2).equals(GZIP_MAGIC)) return true;
  if (/\.gz$/i.test(path)) {
    const firstBytes = [...buffer.subarray(0, bytesRead)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const fault = `the name says gzip, the content does not (first bytes ${firstBytes})`;
    throw new RetailFileError(path, undefined, `${fault}. Rename it to ${path.slice(0, -3)}, or compress it.`);
  }
  return false;
}

async function* contentOf(path: string, bytes: AsyncGenerator<Buffer>, isGzip: boolean): AsyncGenerator<Buffer> {
  try {
    // The callback is empty because pipeline also passes an error on to the loop, by destroying the last stream.
    yield* isGzip ? pipeline(bytes, createGunzip({ chunkSize: CHUNK_BYTES }), () => {}) : bytes;
  } catch (error) {
    throw notRead(path, error);
  }
}

async function* bytesOf(handle: FileHandle, onRead: (endBytes: number) => void): AsyncGenerator<Buffer> {
  for (let offset = 0; ; ) {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, offset);
    if (bytesRead === 0) return;
    offset += bytesRead;
    onRead(offset);
    yield buffer.subarray(0, bytesRead);
  }
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
}

function notOpened(path: string, error: unknown): RetailFileError {
  const fault: Record<string, string> = {
    ENOENT: 'there is no such file. Check the path.',
    ENOTDIR: 'there is no such file. Check the path.',
    EISDIR: 'it is a directory. Name a csv file in it.',
    EACCES: 'no permission to read it. Ask its owner for the right to read, or run as a user who has it.',
    EPERM: 'no permission to read it. Ask its owner for the right to read, or run as a user who has it.',
  };
  const sentence = fault[codeOf(error)] ?? `the system says ${codeOf(error) || String(error)}. Check the path.`;
  return new RetailFileError(path, undefined, sentence, { cause: error });
}

function notRead(path: string, error: unknown): unknown {
  const code = codeOf(error);
  if (code === 'Z_BUF_ERROR') {
    return new RetailFileError(path, undefined, 'the gzip data ends too early. Copy or download the file again.', {
      cause: error,
    });
  }
  if (code.startsWith('Z_')) {
    return new RetailFileError(path, undefined, 'the gzip data is damaged. Copy or download the file again.', {
      cause: error,
    });
  }
  if (code.startsWith('E')) {
    return new RetailFileError(path, undefined, `the system says ${code}. Check the disk.`, { cause: error });
  }
  return error;
}
