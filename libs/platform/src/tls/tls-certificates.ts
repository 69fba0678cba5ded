import { AppError } from '@headrace/base/errors';
import { LiveTlsMaterial } from '@headrace/wire/tls-material';
import { createHash } from 'node:crypto';
import type { Counter } from 'prom-client';
import { fetchOver, type Fetch } from '../http/fetch.js';
import type { Log } from '../log.js';
import type { Telemetry } from '../telemetry.js';
import { doorFiles, judge, peerFiles, read, readSync, type Judged, type Reading, type TlsFiles, type TlsPaths } from './tls-files.js';

/** Said once a day from then on. */
const EXPIRES_SOON_MS = 7 * 86_400_000;
const SAY_AGAIN_MS = 86_400_000;

type Use = 'doors' | 'peers';

/** One set of files: what is in use, and what was found on disk last. */
interface Watched {
  readonly use: Use;
  readonly files: TlsFiles;
  readonly live: LiveTlsMaterial;
  notAfterMs: Judged['notAfterMs'];
  usedHash: string;
  /** Of files that cannot be used; refused when they are found a second time, because files change one after the other. */
  brokenHash: string;
  isRefused: boolean;
  saidExpiryMs: number;
}

/**
 * The certificates of this process: those of its doors, and what it needs to call other services by TLS. The files are looked at every
 * `tlsReloadMs`; new connections get what changed, those that stand live on, and files that cannot be used change nothing but a metric and the log.
 */
export class TlsCertificates {
  /** undefined = the doors speak plain text. */
  readonly doors: LiveTlsMaterial | undefined;
  /** Callers must show a certificate. */
  readonly isMutual: boolean;
  readonly peers: LiveTlsMaterial;
  /** For doors of other services. */
  readonly fetch: Fetch;
  readonly #watched: readonly Watched[];
  readonly #log: Pick<Log, 'info' | 'warn'>;
  readonly #timer: NodeJS.Timeout | undefined;
  #reloads: Counter<'use' | 'outcome'> | undefined;
  #looking: Promise<void> | undefined;

  /** @throws AppError CONFIG_INVALID */
  constructor(paths: TlsPaths, reloadMs: number, log: Pick<Log, 'info' | 'warn'>, telemetry?: Telemetry) {
    this.#log = log;
    const doors = watch('doors', doorFiles(paths));
    const peers = watch('peers', peerFiles(paths));
    this.doors = paths.tlsCertFile ? doors.live : undefined;
    this.isMutual = paths.tlsClientCaFile !== '';
    this.peers = peers.live;
    this.fetch = fetchOver(peers.live);
    this.#watched = [doors, peers].filter(({ files }) => Object.values(files).some(({ path }) => path !== ''));
    if (!this.isUsed) return;
    if (telemetry) this.#measure(telemetry);
    for (const set of this.#watched) this.#sayExpiry(set);
    this.#timer = setInterval(() => void this.#look(false), reloadMs);
    this.#timer.unref();
  }

  get isUsed(): boolean {
    return this.#watched.length > 0;
  }

  /** Looks at the files now. Resolves when what changed is in use, or was refused. */
  async reload(): Promise<void> {
    await this.#looking;
    await this.#look(true);
  }

  close(): Promise<void> {
    clearInterval(this.#timer);
    return Promise.resolve();
  }

  #look(isAsked: boolean): Promise<void> {
    return (this.#looking ??= Promise.all(this.#watched.map((set) => this.#renew(set, isAsked)))
      .then(() => undefined)
      .finally(() => (this.#looking = undefined)));
  }

  async #renew(set: Watched, isAsked: boolean): Promise<void> {
    const reading = await read(set.files);
    const hash = hashOf(reading);
    if (hash === set.usedHash) {
      [set.brokenHash, set.isRefused] = ['', false];
      return this.#sayExpiry(set);
    }
    const { material, faults, notAfterMs } = judge(set.files, reading, Date.now());
    if (faults.length === 0) {
      Object.assign(set, { usedHash: hash, brokenHash: '', isRefused: false, notAfterMs, saidExpiryMs: 0 });
      set.live.renew(material);
      this.#reloads?.inc({ use: set.use, outcome: 'renewed' });
      this.#log.info('certificates renewed; new connections use them', { use: set.use, notAfter: datesOf(notAfterMs) });
      return this.#sayExpiry(set);
    }
    const isKnown = set.brokenHash === hash;
    if (!isKnown) [set.brokenHash, set.isRefused] = [hash, false];
    if ((!isKnown && !isAsked) || set.isRefused) return;
    set.isRefused = true;
    this.#reloads?.inc({ use: set.use, outcome: 'refused' });
    this.#log.warn('changed certificate files cannot be used; the earlier certificates stay in use', { use: set.use, faults });
  }

  #sayExpiry(set: Watched): void {
    const nowMs = Date.now();
    const firstMs = Math.min(...Object.values(set.notAfterMs));
    if (firstMs - nowMs > EXPIRES_SOON_MS || nowMs - set.saidExpiryMs < SAY_AGAIN_MS) return;
    set.saidExpiryMs = nowMs;
    this.#log.warn(firstMs < nowMs ? 'certificate has expired' : 'certificate expires soon', {
      use: set.use,
      notAfter: datesOf(set.notAfterMs),
    });
  }

  #measure(telemetry: Telemetry): void {
    this.#reloads = telemetry.counter({
      name: 'headrace_tls_reloads_total',
      help: 'Changed certificate files that were taken into use (renewed), or could not be (refused)',
      labels: ['use', 'outcome'],
    });
    telemetry.collected({
      name: 'headrace_tls_not_after_timestamp_seconds',
      help: 'When the certificate in use (part cert), or the last of the trusted authorities (part ca), is over; seconds since 1970',
      type: 'gauge',
      read: () =>
        this.#watched.flatMap(({ use, notAfterMs }) =>
          Object.entries(notAfterMs).map(([part, ms]) => ({ labels: { use, part }, value: ms / 1000 })),
        ),
    });
  }
}

function watch(use: Use, files: TlsFiles): Watched {
  const reading = readSync(files);
  const { material, faults, notAfterMs } = judge(files, reading, Date.now());
  if (faults.length > 0) throw new AppError('CONFIG_INVALID', `certificates cannot be used:\n  ${faults.join('\n  ')}`);
  const live = new LiveTlsMaterial(material);
  return { use, files, live, notAfterMs, usedHash: hashOf(reading), brokenHash: '', isRefused: false, saidExpiryMs: 0 };
}

function hashOf(reading: Reading): string {
  const hash = createHash('sha256');
  for (const [part, content] of Object.entries(reading))
    hash.update(`${part} ${Buffer.isBuffer(content) ? content.length : -1} `).update(Buffer.isBuffer(content) ? content : content.message);
  return hash.digest('hex');
}

function datesOf(notAfterMs: Judged['notAfterMs']): Record<string, string> {
  return Object.fromEntries(Object.entries(notAfterMs).map(([part, ms]) => [part, new Date(ms).toISOString()]));
}
