/**
 * Signing a request to SQS for less of the processor; what is signed, and with which credentials, stays the SDK's.
 *
 * Holds always: a signature is the one that the SDK would have made (test/workers/runtime/request-signing.test.ts);
 * credentials that end are asked for anew, since the signer asks for them at each signature.
 */
import { createHash, createHmac, createSecretKey, type Hash, type Hmac, type KeyObject } from 'node:crypto';
import type { SQSClient } from '@aws-sdk/client-sqs';

/**
 * The SDK's signing key of a day, by the array in which it keeps it. For each HMAC with a key in bytes Node finds out what
 * kind of key that is, by attempts that fail: with the key made once an HMAC takes a third of the time (decision 0022).
 */
const keys = new WeakMap<ArrayBufferView, KeyObject>();

/** SHA-256, or HMAC where there is a secret, as the SDK asks for them (`ChecksumConstructor`). */
export class Sha256 {
  readonly #secret: string | KeyObject | undefined;
  #hash: Hash | Hmac;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#secret = secret === undefined || typeof secret === 'string' ? secret : keyOf(secret);
    this.#hash = this.#begun();
  }

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }

  reset(): void {
    this.#hash = this.#begun();
  }

  #begun(): Hash | Hmac {
    return this.#secret === undefined ? createHash('sha256') : createHmac('sha256', this.#secret);
  }
}

function keyOf(secret: ArrayBuffer | ArrayBufferView): KeyObject {
  if (!ArrayBuffer.isView(secret)) return createSecretKey(new Uint8Array(secret));
  const key = keys.get(secret) ?? createSecretKey(new Uint8Array(secret.buffer, secret.byteOffset, secret.byteLength));
  keys.set(secret, key);
  return key;
}

/**
 * The SDK makes a signer for each request, though those of one client are the same. One that could not be made, as where
 * the region was not to be had, is made at the next request.
 */
export function keepSigner({ config }: SQSClient): void {
  const makeSigner = config.signer;
  let signer: Awaited<ReturnType<typeof makeSigner>> | undefined;
  config.signer = async (authScheme) => {
    signer ??= await makeSigner(authScheme);
    return signer;
  };
}
