import { createPublicKey, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isIPv4, isIPv6 } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A certificate with its key, both as PEM. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateWish {
  readonly name?: string;
  /** DNS names and IP addresses. Default: localhost, 127.0.0.1 and ::1. */
  readonly hosts?: readonly string[];
  /** Default: an hour ago, and a day from now. */
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

const HOUR_MS = 3_600_000;

/**
 * A certificate authority that lives for one test, X.509 v3 on P-256 made by hand (RFC 5280): keys exist in memory and in the folders that tests
 * make and remove, and nowhere else.
 */
export class TestAuthority {
  readonly cert: string;
  readonly #key: KeyObject;
  readonly #name: string;

  /** @param name other than those of the certificates: one whose issuer has its own name passes for self-signed. */
  constructor(name = 'Headrace test authority') {
    const { privateKey } = newKey();
    this.#key = privateKey;
    this.#name = name;
    this.cert = certificate({
      subject: name,
      issuer: name,
      key: privateKey,
      signer: privateKey,
      isAuthority: true,
      hosts: [],
      ...validity({}),
    });
  }

  issue({ name = 'Headrace test', hosts = ['localhost', '127.0.0.1', '::1'], ...when }: CertificateWish = {}): Issued {
    const { privateKey: key } = newKey();
    const cert = certificate({ subject: name, issuer: this.#name, key, signer: this.#key, isAuthority: false, hosts, ...validity(when) });
    return { cert, key: key.export({ type: 'pkcs8', format: 'pem' }) as string };
  }
}

/** Certificate files of a test; gone with `remove`. */
export class CertificateFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'headrace-tls-'));

  /** Writes `name.crt` and `name.key`, each as a whole: a reader sees the old file or the new one. */
  write(name: string, { cert, key }: Issued): { readonly certFile: string; readonly keyFile: string } {
    return { certFile: this.file(`${name}.crt`, cert), keyFile: this.file(`${name}.key`, key) };
  }

  file(name: string, text: string): string {
    const path = join(this.path, name);
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
    return path;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

function validity({ notBefore, notAfter }: Pick<CertificateWish, 'notBefore' | 'notAfter'>): { notBefore: Date; notAfter: Date } {
  return { notBefore: notBefore ?? new Date(Date.now() - HOUR_MS), notAfter: notAfter ?? new Date(Date.now() + 24 * HOUR_MS) };
}

function newKey(): { privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

interface Facts {
  readonly subject: string;
  readonly issuer: string;
  readonly key: KeyObject;
  readonly signer: KeyObject;
  readonly isAuthority: boolean;
  readonly hosts: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
}

function certificate({ subject, issuer, key, signer, isAuthority, hosts, notBefore, notAfter }: Facts): string {
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  const body = sequence(
    tagged(0, der(0x02, Buffer.of(2))),
    der(0x02, serial),
    ECDSA_SHA256,
    nameOf(issuer),
    sequence(timeOf(notBefore), timeOf(notAfter)),
    nameOf(subject),
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    tagged(3, sequence(...extensions(isAuthority, hosts))),
  );
  const signed = sequence(body, ECDSA_SHA256, bits(sign('sha256', body, signer)));
  const lines = signed.toString('base64').match(/.{1,64}/g)!;
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function extensions(isAuthority: boolean, hosts: readonly string[]): Buffer[] {
  if (isAuthority) return [critical('551d13', sequence(TRUE)), critical('551d0f', der(0x03, Buffer.of(1, 0x06)))];
  const names = hosts.map((host) => {
    if (isIPv4(host)) return der(0x87, Buffer.from(host.split('.').map(Number)));
    if (isIPv6(host)) return der(0x87, ipv6(host));
    return der(0x82, Buffer.from(host, 'ascii'));
  });
  return names.length > 0 ? [sequence(oid('551d11'), octets(sequence(...names)))] : [];
}

/** One `::` at the most. */
function ipv6(host: string): Buffer {
  const [head = '', tail] = host.split('::');
  const words = (part: string): string[] => part.split(':').filter(Boolean);
  const [first, last] = [words(head), words(tail ?? '')];
  const all = [...first, ...Array.from({ length: 8 - first.length - last.length }, () => '0'), ...last];
  return Buffer.from(all.map((word) => word.padStart(4, '0')).join(''), 'hex');
}

/** Tag, length, content: DER as far as a certificate needs it. */
function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size = length < 0x80 ? Buffer.of(length) : length < 0x100 ? Buffer.of(0x81, length) : Buffer.of(0x82, length >> 8, length & 0xff);
  return Buffer.concat([Buffer.of(tag), size, content]);
}

const TRUE = der(0x01, Buffer.of(0xff));
const ECDSA_SHA256 = sequence(oid('2a8648ce3d040302'));

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

function octets(content: Buffer): Buffer {
  return der(0x04, content);
}

function bits(content: Buffer): Buffer {
  return der(0x03, Buffer.concat([Buffer.of(0), content]));
}

function tagged(number: number, content: Buffer): Buffer {
  return der(0xa0 | number, content);
}

function critical(hex: string, content: Buffer): Buffer {
  return sequence(oid(hex), TRUE, octets(content));
}

function nameOf(commonName: string): Buffer {
  return sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(commonName, 'utf8')))));
}

/** UTCTime until 2049, as RFC 5280 wants it. */
function timeOf(date: Date): Buffer {
  return der(0x17, Buffer.from(`${date.toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`, 'ascii'));
}
