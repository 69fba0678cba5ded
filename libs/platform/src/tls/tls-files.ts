import { AppError, messageOf } from '@headrace/base/errors';
import { LiveTlsMaterial, type TlsMaterial } from '@headrace/wire/tls-material';
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';

/** The paths of the configuration; '' = none. */
export interface TlsPaths {
  readonly tlsCertFile: string;
  readonly tlsKeyFile: string;
  readonly tlsClientCaFile: string;
  readonly tlsCaFile: string;
  readonly tlsClientCertFile: string;
  readonly tlsClientKeyFile: string;
}

export type TlsPart = 'cert' | 'key' | 'ca';
/** A file with the variable that names it; path '' = none. */
interface TlsFile {
  readonly env: string;
  readonly path: string;
}
export type TlsFiles = Readonly<Record<TlsPart, TlsFile>>;

/** What the doors show and whom they trust. */
export function doorFiles({ tlsCertFile, tlsKeyFile, tlsClientCaFile }: Partial<TlsPaths>): TlsFiles {
  return {
    cert: { env: 'HEADRACE_TLS_CERT_FILE', path: tlsCertFile ?? '' },
    key: { env: 'HEADRACE_TLS_KEY_FILE', path: tlsKeyFile ?? '' },
    ca: { env: 'HEADRACE_TLS_CLIENT_CA_FILE', path: tlsClientCaFile ?? '' },
  };
}

/** What we show to other services and whom we trust; without a certificate for this we show that of our doors. */
export function peerFiles(paths: Partial<TlsPaths>): TlsFiles {
  const ca = { env: 'HEADRACE_TLS_CA_FILE', path: paths.tlsCaFile ?? '' };
  if (!paths.tlsClientCertFile && !paths.tlsClientKeyFile) return { ...doorFiles(paths), ca };
  return {
    cert: { env: 'HEADRACE_TLS_CLIENT_CERT_FILE', path: paths.tlsClientCertFile ?? '' },
    key: { env: 'HEADRACE_TLS_CLIENT_KEY_FILE', path: paths.tlsClientKeyFile ?? '' },
    ca,
  };
}

/** Mistakes in what the configuration says of TLS: each with the variable, the file, and what to do. */
export function tlsFaults(paths: Partial<TlsPaths>, nowMs: number): string[] {
  const doors = doorFiles(paths);
  const faults = [doors, peerFiles(paths)].flatMap((files) => judge(files, readSync(files), nowMs).faults);
  if (doors.ca.path && !doors.cert.path)
    faults.push(`${named(doors.ca)} is set without ${doors.cert.env}: callers can show certificates over TLS only; set both, or none`);
  return [...new Set(faults)];
}

/** Contents, or why a file could not be read; nothing for a file that is not named. */
export type Reading = Partial<Record<TlsPart, Buffer | Error>>;

export function readSync(files: TlsFiles): Reading {
  const read = (path: string): Buffer | Error => {
    try {
      return readFileSync(path);
    } catch (error) {
      return error as Error;
    }
  };
  return Object.fromEntries(partsOf(files).map(([part, path]) => [part, read(path)]));
}

export async function read(files: TlsFiles): Promise<Reading> {
  const entries = partsOf(files).map(
    async ([part, path]) => [part, await readFile(path).catch((error: unknown) => error as Error)] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}

/** To call other services, for those who are done before certificates change. @throws AppError CONFIG_INVALID */
export function readPeerTls(paths: Partial<TlsPaths>): LiveTlsMaterial {
  const files = peerFiles(paths);
  const { material, faults } = judge(files, readSync(files), Date.now());
  if (faults.length > 0) throw new AppError('CONFIG_INVALID', `certificates cannot be used:\n  ${faults.join('\n  ')}`);
  return new LiveTlsMaterial(material);
}

export interface Judged {
  readonly material: TlsMaterial;
  readonly faults: readonly string[];
  /** When the certificate, and the last of the authorities, is over; ms since the epoch. */
  readonly notAfterMs: Partial<Record<'cert' | 'ca', number>>;
}

/** Whether the files can be used now. Expired is a fault: whoever verifies would refuse it. */
export function judge(files: TlsFiles, reading: Reading, nowMs: number): Judged {
  const { cert, key, ca } = files;
  const unread = partsOf(files).flatMap(([part]) => (reading[part] instanceof Error ? [unreadable(files[part], reading[part])] : []));
  const faults: string[] = [...unread];
  if (cert.path && !key.path) faults.push(`${named(cert)} needs its private key: set ${key.env}`);
  if (key.path && !cert.path) faults.push(`${named(key)} needs its certificate: set ${cert.env}`);
  const notAfterMs: { cert?: number; ca?: number } = {};
  const own = certificatesOf(cert, reading.cert, faults);
  const secret = keyOf(key, reading.key, faults);
  if (own[0]) {
    notAfterMs.cert = own[0].validToDate.getTime();
    faults.push(...outOfTime(cert, own[0], nowMs));
    if (secret && !own[0].checkPrivateKey(secret))
      faults.push(
        `${named(key)} does not belong to the first certificate of ${named(cert)} (${own[0].subject}): give the key that it was made with, and put the own certificate before its chain`,
      );
  }
  const authorities = certificatesOf(ca, reading.ca, faults);
  if (authorities.length > 0) {
    notAfterMs.ca = Math.max(...authorities.map(({ validToDate }) => validToDate.getTime()));
    if (notAfterMs.ca < nowMs) faults.push(`${named(ca)} holds expired authorities only, the last until ${iso(notAfterMs.ca)}: renew it`);
  }
  const material = Object.fromEntries(Object.entries(reading).filter((entry) => Buffer.isBuffer(entry[1]))) as TlsMaterial;
  if (faults.length === 0) faults.push(...refusedByTls(files, material));
  return { material, faults, notAfterMs };
}

function named({ env, path }: TlsFile): string {
  return `${env}=${JSON.stringify(path)}`;
}

function partsOf(files: TlsFiles): [TlsPart, string][] {
  return (['cert', 'key', 'ca'] as const).flatMap((part) => (files[part].path ? [[part, files[part].path] as [TlsPart, string]] : []));
}

function unreadable(file: TlsFile, { code, message }: NodeJS.ErrnoException): string {
  const why = { ENOENT: 'there is no such file', EACCES: 'this user may not read it', EISDIR: 'it is a folder' }[code ?? ''] ?? message;
  return `${named(file)} cannot be read: ${why}`;
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function certificatesOf(file: TlsFile, content: Buffer | Error | undefined, faults: string[]): X509Certificate[] {
  if (!Buffer.isBuffer(content)) return [];
  const blocks = content.toString('latin1').match(PEM) ?? [];
  if (blocks.length === 0) faults.push(`${named(file)} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)`);
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (error) {
    faults.push(`${named(file)} holds a certificate that cannot be read: ${messageOf(error)}`);
    return [];
  }
}

function keyOf(file: TlsFile, content: Buffer | Error | undefined, faults: string[]): KeyObject | undefined {
  if (!Buffer.isBuffer(content)) return undefined;
  try {
    return createPrivateKey(content);
  } catch (error) {
    const isLocked = (error as NodeJS.ErrnoException).code === 'ERR_MISSING_PASSPHRASE' || content.includes('ENCRYPTED');
    faults.push(
      isLocked
        ? `${named(file)} is locked by a passphrase: give the key without one, in a file that this user alone may read`
        : `${named(file)} holds no private key in PEM (-----BEGIN PRIVATE KEY-----)`,
    );
    return undefined;
  }
}

function outOfTime(file: TlsFile, { subject, validFromDate, validToDate }: X509Certificate, nowMs: number): string[] {
  if (validToDate.getTime() < nowMs) return [`${named(file)} (${subject}) expired at ${iso(validToDate.getTime())}: renew it`];
  if (validFromDate.getTime() > nowMs)
    return [`${named(file)} (${subject}) is not valid before ${iso(validFromDate.getTime())}: look at the clock of this machine`];
  return [];
}

/** What OpenSSL alone knows: keys that are too short, algorithms that are too old. */
function refusedByTls(files: TlsFiles, material: TlsMaterial): string[] {
  try {
    createSecureContext(material);
    return [];
  } catch (error) {
    return [
      `${partsOf(files)
        .map(([part]) => named(files[part]))
        .join(', ')} cannot be used for TLS: ${messageOf(error)}`,
    ];
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
