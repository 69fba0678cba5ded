import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import { DEFAULT_PROJECT } from '@headrace/base/ids';
import { AppError } from '@headrace/base/errors';
import { onlineKeyBeside } from '@headrace/codec/feature-key';
import { splitVector } from '@headrace/codec/feature-vector';
import { writeOnlineVector } from '@headrace/codec/online-features';
import { OnlineRequestReader, type AskedFeatures } from '@headrace/codec/online-request';
import { ProtoWriter } from '@headrace/codec/writer';
import { CLOCK } from '@headrace/platform/platform-module';
import { LIMITS, type Limits } from '../config.js';
import { compileRead, findRow, keyOf, keyOfVector, type OnlineRead } from '../domain/online-read.js';
import type { UsageCount } from '../domain/usage.js';
import { OnlineStore } from '../io/online-store.js';
import { FeatureTelemetry } from '../telemetry.js';
import { plan } from './get-online-features.js';
import { ViewCatalogue, type Views } from './view-catalogue.js';

/** Compiled once for the calls that ask the same, with the counts that each of them adds to. */
interface CountedRead extends OnlineRead {
  readonly counts: readonly UsageCount[];
}

/** A read under way: what is asked and for how many entities. */
interface Submitted {
  readonly reply: number;
  readonly read: CountedRead;
  readonly entities: number;
  readonly firstKey: number;
}

/** A read whose rows are there: for each entity one for each view, from `first` on. */
interface Found {
  readonly submitted: Submitted;
  readonly rows: readonly (Buffer | null)[];
  readonly first: number;
}

/** Where answers go. Each submitted read is answered once. */
export interface OnlineReplies {
  /** The bytes of a GetOnlineFeaturesResponse, valid during the call only. */
  ok(reply: number, bytes: Uint8Array, start: number, end: number): void;
  /** What cannot be answered here: the general way looks again, and finds the words for what is wrong. */
  general(reply: number): void;
  isGone(reply: number): boolean;
}

/** Statuses of the contract, by number. */
const STATUS_NAMES = ['unspecified', 'present', 'null_value', 'not_found', 'outside_max_age'] as const;
/** One command takes this many keys; more would exceed what a call can pass, and hold Redis up. */
const KEYS_PER_CALL = 20_000;

/**
 * The hot way of online reads: all requests of an event-loop turn in one round trip to Redis, from bytes to bytes. It answers what
 * the views in memory know and stored features hold; all else goes the general way, `GetOnlineFeatures`, with the same result.
 */
@Injectable()
export class OnlineReads {
  readonly #requests = new OnlineRequestReader();
  readonly #reads = new WeakMap<AskedFeatures, { readonly views: Views; readonly read: CountedRead | undefined }>();
  readonly #values: (string | undefined)[] = [];
  readonly #writer = new ProtoWriter(64 * 1024);
  #submitted: Submitted[] = [];
  #keys: string[] = [];

  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly online: OnlineStore,
    private readonly telemetry: FeatureTelemetry,
    @Inject(LIMITS) private readonly limits: Limits,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Reads the request in place. @returns false when it must go the general way. */
  submit(bytes: Buffer, start: number, end: number, reply: number): boolean {
    const views = this.catalogue.inMemory();
    if (!views) return false;
    const firstKey = this.#keys.length;
    try {
      const read = this.#readOf(this.#requests.start(bytes, start, end), views);
      const entities = read ? this.#addKeys(read) : -1;
      if (read && entities >= 0) {
        this.#submitted.push({ reply, read, entities, firstKey });
        return true;
      }
    } catch (error) {
      if (!(error instanceof AppError)) throw error; // what is wrong is found again by the general way
    }
    this.#keys.length = firstKey;
    return false;
  }

  /** Answers what was submitted since the last call, in one round trip. */
  tick(replies: OnlineReplies): void {
    const submitted = this.#submitted;
    if (submitted.length === 0) return;
    const keys = this.#keys;
    this.#submitted = [];
    this.#keys = [];
    const startedAt = performance.now();
    this.#find(submitted, keys).then(
      (found) => this.#answer(found, replies, startedAt),
      () => submitted.forEach(({ reply }) => replies.general(reply)),
    );
  }

  #readOf(asked: AskedFeatures, views: Views): CountedRead | undefined {
    const known = this.#reads.get(asked);
    if (known?.views === views) return known.read;
    const project = asked.project || DEFAULT_PROJECT;
    const { parts, wanted, names, vector } = plan(views, { ...asked, project, entities: [] });
    // Windows are folded from their blob, the general way.
    const isHot = parts.every(({ kind }) => kind === 'row');
    const hot = isHot
      ? compileRead({
          views: parts.map(({ view }) => view),
          wanted: wanted.map(({ feature, part }) => ({ feature, view: part })),
          vector,
          names: asked.featureService === '' ? [] : names,
        })
      : undefined;
    const counts = this.telemetry.usage.of(
      project,
      parts.map(({ view }) => view.name),
    );
    const read = hot && { ...hot, counts };
    this.#reads.set(asked, { views, read });
    return read;
  }

  /** @returns the number of entities, -1 when one of them cannot be read here. */
  #addKeys({ joinKeys, views, vector }: OnlineRead): number {
    const values = this.#values;
    const keys = this.#keys;
    values.length = joinKeys.length;
    const entitiesMax = this.limits.onlineKeysMax / views.length;
    for (let entities = 0; ; entities++) {
      const outcome = this.#requests.entity(joinKeys, values);
      if (outcome !== 'read') return outcome === 'end' ? entities : -1;
      if (entities + 1 > entitiesMax) return -1;
      const count = vector ? 1 : views.length;
      for (let v = 0; v < count; v++) {
        const key = vector ? keyOfVector(vector, views, values) : keyOf(views[v]!, values);
        if (key === undefined) return -1;
        keys.push(key);
      }
    }
  }

  async #find(submitted: readonly Submitted[], keys: readonly string[]): Promise<Found[]> {
    const blobs = await this.#readAll(keys);
    const missing: { readonly rows: (Buffer | null)[]; readonly at: number; readonly key: string }[] = [];
    const found = submitted.map((one): Found => {
      const { read, entities, firstKey } = one;
      if (!read.vector) return { submitted: one, rows: blobs, first: firstKey };
      const { service, version, views } = read.vector;
      const rows = new Array<Buffer | null>(entities * views.length).fill(null);
      for (let entity = 0; entity < entities; entity++) {
        const at = entity * views.length;
        if (splitVector(blobs[firstKey + entity]!, version, views.length, rows, at)) continue;
        const key = keys[firstKey + entity]!;
        for (const [v, view] of views.entries()) missing.push({ rows, at: at + v, key: onlineKeyBeside(key, service, view) });
      }
      return { submitted: one, rows, first: 0 };
    });
    if (missing.length > 0) {
      // No vector of this version: not made yet, or nothing is known of the entity.
      const rows = await this.#readAll(missing.map(({ key }) => key));
      for (const [i, { rows: into, at }] of missing.entries()) into[at] = rows[i]!;
    }
    return found;
  }

  async #readAll(keys: readonly string[]): Promise<(Buffer | null)[]> {
    if (keys.length <= KEYS_PER_CALL) return this.online.read(keys);
    const parts: Promise<(Buffer | null)[]>[] = [];
    for (let from = 0; from < keys.length; from += KEYS_PER_CALL) parts.push(this.online.read(keys.slice(from, from + KEYS_PER_CALL)));
    return (await Promise.all(parts)).flat();
  }

  #answer(found: readonly Found[], replies: OnlineReplies, startedAt: number): void {
    const nowMs = this.clock.nowMs();
    const counts = new Uint32Array(STATUS_NAMES.length);
    const writer = this.#writer;
    for (const one of found) {
      const { reply, read, entities } = one.submitted;
      if (replies.isGone(reply)) replies.ok(reply, writer.bytes, 0, 0);
      else if (encode(one, nowMs, writer.reset(), counts)) {
        this.telemetry.usage.add(read.counts, entities);
        replies.ok(reply, writer.bytes, 0, writer.pos);
      } else replies.general(reply);
    }
    const statuses = Object.fromEntries(STATUS_NAMES.map((name, i) => [name, counts[i]!]));
    this.telemetry.onlineRead((performance.now() - startedAt) / 1000, statuses);
  }
}

/** @returns false when a blob has a layout that these views do not know, or is corrupt. */
function encode({ submitted, rows, first }: Found, nowMs: number, writer: ProtoWriter, counts: Uint32Array): boolean {
  const { read, entities } = submitted;
  const { views, viewOf, found, names } = read;
  for (let entity = 0, at = first; entity < entities; entity++) {
    for (let v = 0; v < views.length; v++) if (!findRow(views[v]!, rows[at++] ?? null, nowMs)) return false;
    writeOnlineVector(viewOf, found, writer, counts);
  }
  if (names.length > 0) writer.raw(names);
  return true;
}
