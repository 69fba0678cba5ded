import { AppError, messageOf } from '@headrace/base/errors';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** The npm package that carries 3 million flights; 17 MB, so it is fetched by the first run and not by every install. */
const PACKAGE = 'vega-datasets@3.2.1';
const MEMBER = 'package/data/flights-3m.parquet';
const FETCH_TIMEOUT_MS = 300_000;

/** Fetched once by npm, whose lock it needs none of, then kept in the folder. @returns the Parquet file. @throws AppError DEPENDENCY_UNAVAILABLE */
export function fetchFlights(folder: string): string {
  const file = join(folder, 'flights-3m.parquet');
  if (existsSync(file)) return file;
  mkdirSync(folder, { recursive: true });
  const scratch = mkdtempSync(join(folder, 'fetch-'));
  try {
    const packed = pack(scratch);
    const partial = join(scratch, 'flights.parquet');
    writeFileSync(partial, memberOf(gunzipSync(readFileSync(packed)), MEMBER));
    renameSync(partial, file);
    return file;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function pack(folder: string): string {
  try {
    execFileSync('npm', ['pack', PACKAGE, '--silent', '--ignore-scripts', '--pack-destination', folder], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: FETCH_TIMEOUT_MS,
      shell: process.platform === 'win32',
    });
  } catch (error) {
    throw new AppError(
      'DEPENDENCY_UNAVAILABLE',
      `npm could not fetch ${PACKAGE}: ${messageOf(error)}; check the registry, or give the Parquet file with --file`,
      { details: { dependency: 'npm' }, cause: error },
    );
  }
  const packed = readdirSync(folder).find((name) => name.endsWith('.tgz'));
  if (packed) return join(folder, packed);
  throw new AppError('DEPENDENCY_UNAVAILABLE', `npm pack ${PACKAGE} ended well and left no archive`, { details: { dependency: 'npm' } });
}

/** A file of a tar archive: headers of 512 bytes with the name at 0 and the size in octal at 124 (POSIX ustar). */
export function memberOf(tar: Buffer, name: string): Buffer {
  for (let at = 0; at + 512 <= tar.length;) {
    const text = (from: number, length: number): string => tar.toString('latin1', at + from, at + from + length).replace(/\0[^]*$/, '');
    const size = Number.parseInt(text(124, 12), 8) || 0;
    if (text(0, 100) === name) return tar.subarray(at + 512, at + 512 + size);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  throw new AppError('NOT_FOUND', `the archive of ${PACKAGE} has no ${name}; another version of the package may`);
}
