import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import { DEFAULT_PROJECT } from '@headrace/base/ids';
import { AppError } from '@headrace/base/errors';
import { OnlineRequestReader, writeOnlineVector, type AskedFeatures } from '@headrace/codec/online-features';
import { ProtoWriter } from '@headrace/codec/writer';
import { CLOCK } from '@headrace/platform/platform-module';
import { LIMITS, type Limits } from '../config.js';
import { compileRead, findRow, keyOf, type OnlineRead } from '../domain/online-read.js';
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
    this.#readAll(keys).then(
      (blobs) => this.#answer(submitted, blobs, replies, startedAt),
      () => submitted.forEach(({ reply }) => replies.general(reply)),
    );
  }

  #readOf(asked: AskedFeatures, views: Views): CountedRead | undefined {
    const known = this.#reads.get(asked);
    if (known?.views === views) return known.read;
    const project = asked.project || DEFAULT_PROJECT;
    const { parts, wanted } = plan(views, { ...asked, project, entities: [] });
    // Windows are folded from their blob, the general way.
    const isHot = parts.every(({ kind }) => kind === 'row');
    const hot = isHot
      ? compileRead(
          parts.map(({ view }) => view),
          wanted.map(({ feature, part }) => ({ feature, view: part })),
        )
      : undefined;
    const names = parts.map(({ view }) => view.name);
    const read = hot && { ...hot, counts: this.telemetry.usage.of(project, names) };
    this.#reads.set(asked, { views, read });
    return read;
  }

  /** @returns the number of entities, -1 when one of them cannot be read here. */
  #addKeys({ joinKeys, views }: OnlineRead): number {
    const values = this.#values;
    const keys = this.#keys;
    values.length = joinKeys.length;
    const keysMax = keys.length + this.limits.onlineKeysMax;
    for (let entities = 0; ; entities++) {
      const outcome = this.#requests.entity(joinKeys, values);
      if (outcome !== 'read') return outcome === 'end' ? entities : -1;
      for (let v = 0; v < views.length; v++) {
        const key = keyOf(views[v]!, values);
        if (key === undefined) return -1;
        keys.push(key);
      }
      if (keys.length > keysMax) return -1;
    }
  }

  async #readAll(keys: readonly string[]): Promise<(Buffer | null)[]> {
    if (keys.length <= KEYS_PER_CALL) return this.online.read(keys);
    const parts: Promise<(Buffer | null)[]>[] = [];
    for (let from = 0; from < keys.length; from += KEYS_PER_CALL) parts.push(this.online.read(keys.slice(from, from + KEYS_PER_CALL)));
    return (await Promise.all(parts)).flat();
  }

  #answer(submitted: readonly Submitted[], blobs: readonly (Buffer | null)[], replies: OnlineReplies, startedAt: number): void {
    const nowMs = this.clock.nowMs();
    const counts = new Uint32Array(STATUS_NAMES.length);
    const writer = this.#writer;
    for (const one of submitted) {
      if (replies.isGone(one.reply)) replies.ok(one.reply, writer.bytes, 0, 0);
      else if (encode(one, blobs, nowMs, writer.reset(), counts)) {
        this.telemetry.usage.add(one.read.counts, one.entities);
        replies.ok(one.reply, writer.bytes, 0, writer.pos);
      } else replies.general(one.reply);
    }
    const statuses = Object.fromEntries(STATUS_NAMES.map((name, i) => [name, counts[i]!]));
    this.telemetry.onlineRead((performance.now() - startedAt) / 1000, statuses);
  }
}

/** @returns false when a blob has a layout that these views do not know, or is corrupt. */
function encode(
  { read, entities, firstKey }: Submitted,
  blobs: readonly (Buffer | null)[],
  nowMs: number,
  writer: ProtoWriter,
  counts: Uint32Array,
): boolean {
  const { views, viewOf, found } = read;
  for (let entity = 0, at = firstKey; entity < entities; entity++) {
    for (let v = 0; v < views.length; v++) if (!findRow(views[v]!, blobs[at++] ?? null, nowMs)) return false;
    writeOnlineVector(viewOf, found, writer, counts);
  }
  return true;
}
