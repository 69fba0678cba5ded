import { Injectable } from '@nestjs/common';
import { encodeBlob } from '@headrace/codec/feature-blob';
import { onlineKey } from '@headrace/codec/feature-key';
import { RedisClient, type Script } from '@headrace/platform/redis/redis';
import type { MergedRow } from '../domain/row-order.js';
import { stampOf } from '../domain/row-order.js';
import type { View } from '../domain/view.js';

/** Keys of one script call: Redis serves nobody else meanwhile (about 2 us a key). */
const KEYS_PER_CALL = 500;

/** Newest row of each (entity, view): a cache of the offline store, see libs/codec/src/feature-blob.ts for the layout. */
@Injectable()
export class OnlineStore {
  readonly #setNewer: Script;

  constructor(private readonly redis: RedisClient) {
    this.#setNewer = redis.script('set-newer', SET_NEWER);
  }

  /**
   * Compare and set: a row replaces only an older one, so rows may come in any order and as often as they like.
   * @param rows at most one for each entity. @returns how many replaced something older or nothing.
   */
  async write(view: View, rows: readonly MergedRow[]): Promise<number> {
    let written = 0;
    for (let from = 0; from < rows.length; from += KEYS_PER_CALL) {
      const part = rows.slice(from, from + KEYS_PER_CALL);
      const keys = part.map((row) => onlineKey(view.project, view.entity, row.entityKey, view.name));
      const blobs = part.map((row) => encodeBlob(view.blob, row.values, stampOf(row)));
      written += Number(await this.#setNewer(keys, blobs));
    }
    return written;
  }

  /** One round trip, whatever the number of keys. */
  read(keys: readonly string[]): Promise<(Buffer | null)[]> {
    return this.redis.getBuffers(keys);
  }
}

/**
 * Header as in feature-blob.ts: format, fingerprint, event time, ingest time, tie break. Equal stamps mean the same row, which is
 * rewritten only in another layout. What is no blob of this format is replaced.
 */
const SET_NEWER = `
local written = 0
for i = 1, #KEYS do
  local old = redis.call('GETRANGE', KEYS[i], 0, 28)
  local replace = true
  if #old == 29 and string.byte(old, 1) == 1 then
    local oldEvent, oldIngest, oldTie = struct.unpack('<ddd', old, 6)
    local event, ingest, tie = struct.unpack('<ddd', ARGV[i], 6)
    if event ~= oldEvent then replace = event > oldEvent
    elseif ingest ~= oldIngest then replace = ingest > oldIngest
    elseif tie ~= oldTie then replace = tie > oldTie
    else replace = string.sub(old, 2, 5) ~= string.sub(ARGV[i], 2, 5) end
  end
  if replace then
    redis.call('SET', KEYS[i], ARGV[i])
    written = written + 1
  end
end
return written`;
