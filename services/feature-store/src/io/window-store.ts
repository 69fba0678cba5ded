import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { RedisClient, type Script } from '@headrace/platform/redis/redis';
import { windowsKey } from '../domain/window-key.js';
import type { View } from '../domain/view.js';

export interface Swap {
  readonly entityKey: string;
  /** What was read; null = nothing stood there. */
  readonly before: Buffer | null;
  readonly after: Buffer;
  /** When no window can see any of its rows any more. */
  readonly expiresMs: number;
}

/** The windows of each (entity, view): see libs/windows/src/window-blob.ts for the layout. */
@Injectable()
export class WindowStore {
  readonly #swap: Script;

  constructor(private readonly redis: RedisClient) {
    this.#swap = redis.script('swap-windows', SWAP);
  }

  read(view: View, entityKeys: readonly string[]): Promise<(Buffer | null)[]> {
    return this.redis.getBuffers(entityKeys.map((entityKey) => windowsKey(view, entityKey)));
  }

  /** Writes each blob whose place still holds what was read. @returns those that somebody else has changed meanwhile. */
  async swap(view: View, swaps: readonly Swap[]): Promise<Swap[]> {
    if (swaps.length === 0) return [];
    const keys = swaps.map(({ entityKey }) => windowsKey(view, entityKey));
    const args = swaps.flatMap(({ before, after, expiresMs }) => [before ? sha1(before) : '', after, expiresMs]);
    const lost = (await this.#swap(keys, args)) as number[];
    return lost.map((i) => swaps[i - 1]!);
  }
}

function sha1(bytes: Buffer): string {
  return createHash('sha1').update(bytes).digest('hex');
}

/** Compared by content: a blob is a function of rows and horizon, so equal bytes are an equal state, however it came about. */
const SWAP = `
local lost = {}
for i = 1, #KEYS do
  local old = redis.call('GET', KEYS[i])
  local expected = ARGV[3 * i - 2]
  if (old and redis.sha1hex(old) or '') == expected then
    redis.call('SET', KEYS[i], ARGV[3 * i - 1], 'PXAT', ARGV[3 * i])
  else
    lost[#lost + 1] = i
  end
end
return lost`;
