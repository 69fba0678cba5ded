import { Injectable } from '@nestjs/common';
import { encodeBlob, encodeErased, isErased } from '@headrace/codec/feature-blob';
import { onlineKey, onlineKeyAround } from '@headrace/codec/feature-key';
import { RedisClient, type Script } from '@headrace/platform/redis/redis';
import type { MergedRow } from '../domain/row-order.js';
import { stampOf } from '../domain/row-order.js';
import type { View } from '../domain/view.js';
import { windowsKey } from '../domain/window-key.js';

/** Keys of one script call: Redis serves nobody else meanwhile (1 to 2 us a key). Lua unpacks at most some thousands of values. */
const KEYS_PER_CALL = 500;

/** Of one walk through the keys: Redis looks at so many for each call. */
const WALK_KEYS = 1_000;
const WALK_CALLS = 20;

/** Newest row of each (entity, view): a cache of the offline store, see libs/codec/src/feature-blob.ts for the layout. */
@Injectable()
export class OnlineStore {
  readonly #setNewer: Script;
  readonly #removeOlder: Script;
  readonly #eraseOlder: Script;
  readonly #cursors = new Map<string, string>();

  constructor(private readonly redis: RedisClient) {
    this.#setNewer = redis.script('set-newer', SET_NEWER);
    this.#removeOlder = redis.script('remove-older', REMOVE_OLDER);
    this.#eraseOlder = redis.script('erase-older', ERASE_OLDER);
  }

  /**
   * Compare and set: a row replaces only an older one, so rows may come in any order and as often as they like.
   * @param rows at most one for each entity. @returns how many replaced something older or nothing.
   */
  async write(view: View, rows: readonly MergedRow[]): Promise<number> {
    const { length } = rows;
    let from = 0;
    const writeParts = async (): Promise<number> => {
      let written = 0;
      while (from < length) {
        const part = rows.slice(from, (from += KEYS_PER_CALL));
        const keys = part.map((row) => onlineKey(view.project, view.entity, row.entityKey, view.name));
        const blobs = part.map((row) => encodeBlob(view.blob, row.values, stampOf(row)));
        written += Number(await this.#setNewer(keys, blobs));
      }
      return written;
    };
    // Two calls under way: one is prepared while Redis works on the other.
    const [one, other] = await Promise.all([writeParts(), writeParts()]);
    return one + other;
  }

  /** Some entities of the view that are online, in the order in which Redis walks its keys; the next call goes on from there. */
  async sampleEntities(view: View, count: number): Promise<string[]> {
    const { prefix, suffix } = onlineKeyAround(view.project, view.entity, view.name);
    const entities: string[] = [];
    for (let call = 0; call < WALK_CALLS && entities.length < count; call++) {
      const keys = await this.#walk(`view ${view.id}`, `${prefix}*${suffix}`);
      for (const key of keys) entities.push(key.slice(prefix.length, -suffix.length));
      if (this.#cursors.get(`view ${view.id}`) === undefined) break;
    }
    return entities.slice(0, count);
  }

  /**
   * Deletes values that have been past their time to live for as long again; until then a reader is told that they are too old. Goes
   * a bounded way through the keys, and on from there at the next call. @returns the entities whose value is gone.
   */
  async *removeExpired(view: View, nowMs: number): AsyncGenerator<string[]> {
    if (!view.spec.online || view.spec.ttl === 0) return;
    const { prefix, suffix } = onlineKeyAround(view.project, view.entity, view.name);
    for (let call = 0; call < WALK_CALLS; call++) {
      const keys = await this.#walk(`expired ${view.id}`, `${prefix}*${suffix}`);
      const removed = keys.length > 0 ? ((await this.#removeOlder(keys, [nowMs - 2 * view.spec.ttl])) as number[]) : [];
      yield removed.map((i) => keys[i - 1]!.slice(prefix.length, -suffix.length));
      if (this.#cursors.get(`expired ${view.id}`) === undefined) break;
    }
  }

  /** Keys of one step of a walk, whose place is kept under its name until it is through. */
  async #walk(name: string, pattern: string): Promise<string[]> {
    const from = this.#cursors.get(name) ?? '0';
    const [next, keys] = await this.redis.run('SCAN', () => this.redis.raw.scan(from, 'MATCH', pattern, 'COUNT', WALK_KEYS));
    if (next === '0') this.#cursors.delete(name);
    else this.#cursors.set(name, next);
    return keys;
  }

  /** One round trip, whatever the number of keys. */
  async read(keys: readonly string[]): Promise<(Buffer | null)[]> {
    const blobs = await this.redis.getBuffers(keys);
    for (let i = 0; i < blobs.length; i++) if (blobs[i] && isErased(blobs[i]!)) blobs[i] = null;
    return blobs;
  }

  /**
   * Puts a mark in the place of the entities' rows and windows, which goes by itself after `markMs`: till then writers that had read an
   * older row find that it is not newer. Rows with event times after `untilMs` stay.
   */
  async erase(view: View, entityKeys: readonly string[], untilMs: number, markMs: number): Promise<void> {
    const mark = encodeErased(untilMs);
    for (let from = 0; from < entityKeys.length; from += KEYS_PER_CALL) {
      const part = entityKeys.slice(from, from + KEYS_PER_CALL);
      await this.#eraseOlder(
        part.map((key) => onlineKey(view.project, view.entity, key, view.name)),
        [mark, markMs],
      );
      if (view.windows)
        await this.redis.run('SET', () => Promise.all(part.map((key) => this.redis.raw.set(windowsKey(view, key), mark, 'PX', markMs))));
    }
  }

  /** Names the run of the Redis server: after its restart what was written before may be lost. */
  async redisRun(): Promise<string> {
    const info = await this.redis.run('INFO', () => this.redis.raw.info('server'));
    return /^run_id:(\w+)/m.exec(info)?.[1] ?? '';
  }

  /** Entities of the view that are online, all of them, in batches: walks through all keys of Redis. */
  async *entities(view: View): AsyncGenerator<string[]> {
    const { prefix, suffix } = onlineKeyAround(view.project, view.entity, view.name);
    let cursor = '0';
    do {
      const [next, keys] = await this.redis.run('SCAN', () => this.redis.raw.scan(cursor, 'COUNT', WALK_KEYS));
      cursor = next;
      yield keys.filter((key) => key.startsWith(prefix) && key.endsWith(suffix)).map((key) => key.slice(prefix.length, -suffix.length));
    } while (cursor !== '0');
  }
}

/**
 * Header as in feature-blob.ts: format, fingerprint, event time, ingest time, tie break. Equal stamps mean the same row, which is
 * rewritten only in another layout. What is no blob of this format is replaced. One MGET and one MSET, because a call out of Lua costs
 * more than the work that it does.
 */
const SET_NEWER = `
local olds = redis.call('MGET', unpack(KEYS))
local writes = {}
local count = 0
for i = 1, #KEYS do
  local old = olds[i]
  local replace = true
  if old and #old >= 29 and string.byte(old, 1) == 1 then
    local oldEvent, oldIngest, oldTie = struct.unpack('<ddd', old, 6)
    local event, ingest, tie = struct.unpack('<ddd', ARGV[i], 6)
    if event ~= oldEvent then replace = event > oldEvent
    elseif ingest ~= oldIngest then replace = ingest > oldIngest
    elseif tie ~= oldTie then replace = tie > oldTie
    else replace = string.sub(old, 2, 5) ~= string.sub(ARGV[i], 2, 5) end
  end
  if replace then
    writes[count + 1] = KEYS[i]
    writes[count + 2] = ARGV[i]
    count = count + 2
  end
end
if count > 0 then redis.call('MSET', unpack(writes)) end
return count / 2`;

/** In one step with the look at the event time, so that a newer value that was set meanwhile stays. */
const REMOVE_OLDER = `
local removed = {}
for i = 1, #KEYS do
  local head = redis.call('GETRANGE', KEYS[i], 0, 28)
  if #head >= 29 and string.byte(head, 1) == 1 and struct.unpack('<d', head, 6) < tonumber(ARGV[1]) then
    redis.call('DEL', KEYS[i])
    removed[#removed + 1] = i
  end
end
return removed`;

/** What is no blob goes too. */
const ERASE_OLDER = `
local untilMs = struct.unpack('<d', ARGV[1], 6)
for i = 1, #KEYS do
  local head = redis.call('GETRANGE', KEYS[i], 0, 28)
  if #head < 29 or string.byte(head, 1) ~= 1 or struct.unpack('<d', head, 6) <= untilMs then
    redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2])
  end
end`;
