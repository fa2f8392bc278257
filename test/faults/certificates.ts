/**
 * An authority of a test's own, and certificates that it signs: as little of X.509 as TLS asks for, because Node makes keys and
 * no certificates, and openssl is not on every machine.
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

const COMMON_NAME = '2.5.4.3';
const SUBJECT_ALTERNATIVE_NAME = '2.5.29.17';
const BASIC_CONSTRAINTS = '2.5.29.19';
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';

const BOOLEAN = 0x01;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OBJECT_IDENTIFIER = 0x06;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const SEQUENCE = 0x30;
const SET = 0x31;
const DNS_NAME = 0x82;
const explicit = (tag: number) => 0xa0 + tag;

export class Authority {
  readonly #name: string;
  readonly #keys = keyPair();
  /** In PEM. */
  readonly certificate: string;

  constructor(name: string) {
    this.#name = name;
    const isAuthority = extension(BASIC_CONSTRAINTS, der(SEQUENCE, der(BOOLEAN, Buffer.from([0xff]))), true);
    this.certificate = this.#signed(name, this.#keys.publicKey, isAuthority);
  }

  /** A key, and a certificate for it that is good for this host name alone. */
  issue(hostName: string): { readonly key: string; readonly cert: string } {
    const { privateKey, publicKey } = keyPair();
    const alternatives = extension(SUBJECT_ALTERNATIVE_NAME, der(SEQUENCE, der(DNS_NAME, Buffer.from(hostName))));
    return {
      key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
      cert: this.#signed(hostName, publicKey, alternatives),
    };
  }

  #signed(subject: string, publicKey: KeyObject, extensions: Buffer): string {
    const algorithm = der(SEQUENCE, identifier(ECDSA_WITH_SHA256));
    const toBeSigned = der(
      SEQUENCE,
      der(explicit(0), der(INTEGER, Buffer.from([2]))),
      der(INTEGER, Buffer.from([1])),
      algorithm,
      commonName(this.#name),
      der(SEQUENCE, der(UTC_TIME, Buffer.from('200101000000Z')), der(UTC_TIME, Buffer.from('491231235959Z'))),
      commonName(subject),
      publicKey.export({ type: 'spki', format: 'der' }),
      der(explicit(3), der(SEQUENCE, extensions)),
    );
    const signature = Buffer.concat([Buffer.from([0]), sign('sha256', toBeSigned, this.#keys.privateKey)]);
    const certificate = der(SEQUENCE, toBeSigned, algorithm, der(BIT_STRING, signature));
    return `-----BEGIN CERTIFICATE-----\n${certificate.toString('base64')}\n-----END CERTIFICATE-----\n`;
  }
}

function keyPair() {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag, ...lengthBytes(content.length)]), content]);
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length];
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
}

function identifier(dotted: string): Buffer {
  const [first, second, ...rest] = dotted.split('.').map(Number);
  return der(OBJECT_IDENTIFIER, Buffer.from([first! * 40 + second!, ...rest.flatMap(base128)]));
}

function base128(value: number): number[] {
  const bytes = [value & 0x7f];
  for (let left = value >> 7; left > 0; left >>= 7) bytes.unshift((left & 0x7f) | 0x80);
  return bytes;
}

function commonName(name: string): Buffer {
  return der(SEQUENCE, der(SET, der(SEQUENCE, identifier(COMMON_NAME), der(UTF8_STRING, Buffer.from(name)))));
}

function extension(id: string, value: Buffer, critical = false): Buffer {
  const marks = critical ? [der(BOOLEAN, Buffer.from([0xff]))] : [];
  return der(SEQUENCE, identifier(id), ...marks, der(OCTET_STRING, value));
}
