import { Injectable } from '@nestjs/common';
import { encodeBlob } from '@headrace/codec/feature-blob';
import { onlineKey } from '@headrace/codec/feature-key';
import { RedisClient, type Script } from '@headrace/platform/redis/redis';
import type { MergedRow } from '../domain/row-order.js';
import { stampOf } from '../domain/row-order.js';
import type { View } from '../domain/view.js';

/** Keys of one script call: Redis serves nobody else meanwhile (1 to 2 us a key). Lua unpacks at most some thousands of values. */
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

  /** One round trip, whatever the number of keys. */
  read(keys: readonly string[]): Promise<(Buffer | null)[]> {
    return this.redis.getBuffers(keys);
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
