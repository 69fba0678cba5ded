import { Injectable } from '@nestjs/common';
import { BLOB_HEADER_BYTES } from '@headrace/codec/feature-blob';
import { onlineKey, onlineKeyAround } from '@headrace/codec/feature-key';
import { VECTOR_FORMAT } from '@headrace/codec/feature-vector';
import { RedisClient, type Script } from '@headrace/platform/redis/redis';
import { vectorKeyOf, type ServiceVector } from '../domain/service-vector.js';

/** Keys of one script call: Redis serves nobody else meanwhile, and Lua unpacks at most some thousands of values. */
const KEYS_PER_CALL = 1_000;
/** Keys that Redis looks at for one step of a walk. */
const WALK_KEYS = 1_000;
/** Service -> what its vectors were made for. Beside the vectors, so that it is lost with them and they are made again. */
const MADE_KEY = 'hr:vectors';

export type VectorPlace = Pick<ServiceVector, 'project' | 'service' | 'entity'>;

/** The precomputed vectors of feature services: see libs/codec/src/feature-vector.ts for the layout. */
@Injectable()
export class VectorStore {
  readonly #refresh: Script;

  constructor(private readonly redis: RedisClient) {
    this.#refresh = redis.script('refresh-vectors', REFRESH);
  }

  /** Makes the vectors anew from the rows as they stand, each in one step: whoever writes a row and then comes here leaves the vector right. */
  async refresh(vector: ServiceVector, entityKeys: readonly string[]): Promise<void> {
    const { project, entity, views, version } = vector;
    const entitiesPerCall = Math.max(1, Math.floor(KEYS_PER_CALL / (views.length + 1)));
    for (let from = 0; from < entityKeys.length; from += entitiesPerCall) {
      const part = entityKeys.slice(from, from + entitiesPerCall);
      const rows = part.flatMap((entityKey) => views.map((view) => onlineKey(project, entity, entityKey, view)));
      await this.#refresh(
        [...part.map((entityKey) => vectorKeyOf(vector, entityKey)), ...rows],
        [views.length, version, VECTOR_FORMAT, BLOB_HEADER_BYTES],
      );
    }
  }

  /** Every entity that has a row of the view, as Redis walks its keys; one may come twice. */
  async *entities({ project, entity }: ServiceVector, view: string): AsyncGenerator<string[]> {
    const { prefix, suffix } = onlineKeyAround(project, entity, view);
    for await (const keys of this.#walk(`${prefix}*${suffix}`)) yield keys.map((key) => key.slice(prefix.length, -suffix.length));
  }

  /** Services by `project/service` whose vectors are whole. */
  async made(): Promise<Map<string, VectorPlace & { readonly version: number }>> {
    const stored = await this.redis.run('HGETALL', () => this.redis.raw.hgetall(MADE_KEY));
    return new Map(
      Object.entries(stored).map(([name, text]) => {
        const [project = '', service = ''] = name.split('/');
        const [version = '', entity = ''] = text.split(' ');
        return [name, { project, service, entity, version: Number(version) }];
      }),
    );
  }

  async setMade({ project, service, version, entity }: ServiceVector): Promise<void> {
    await this.redis.run('HSET', () => this.redis.raw.hset(MADE_KEY, `${project}/${service}`, `${version} ${entity}`));
  }

  async remove(place: VectorPlace, signal: AbortSignal): Promise<void> {
    const { project, entity, service } = place;
    for await (const keys of this.#walk(`${onlineKeyAround(project, entity, '').prefix}*}@${service}`)) {
      signal.throwIfAborted();
      if (keys.length > 0) await this.redis.run('UNLINK', () => this.redis.raw.unlink(...keys));
    }
    await this.redis.run('HDEL', () => this.redis.raw.hdel(MADE_KEY, `${project}/${service}`));
  }

  async *#walk(pattern: string): AsyncGenerator<string[]> {
    let cursor = '0';
    do {
      const [next, keys] = await this.redis.run('SCAN', () => this.redis.raw.scan(cursor, 'MATCH', pattern, 'COUNT', WALK_KEYS));
      cursor = next;
      yield keys;
    } while (cursor !== '0');
  }
}

/**
 * Keys: the vectors, then the rows of each. Arguments: views of a vector, version, format, length of a header. A vector without any row is
 * none, and a header alone is the mark of an erased entity, which is no row. One MGET and one MSET, because a call out of Lua costs more than
 * the work that it does.
 */
const REFRESH = `
local views = tonumber(ARGV[1])
local count = #KEYS / (views + 1)
local rows = redis.call('MGET', unpack(KEYS, count + 1))
local head = struct.pack('<BI4', ARGV[3], ARGV[2])
local writes = {}
local gone = {}
for i = 1, count do
  local parts = { head }
  local found = false
  for view = 1, views do
    local row = rows[(i - 1) * views + view] or ''
    if #row <= tonumber(ARGV[4]) then row = '' else found = true end
    parts[2 * view] = struct.pack('<I4', #row)
    parts[2 * view + 1] = row
  end
  if found then
    writes[#writes + 1] = KEYS[i]
    writes[#writes + 1] = table.concat(parts)
  else
    gone[#gone + 1] = KEYS[i]
  end
end
if #writes > 0 then redis.call('MSET', unpack(writes)) end
if #gone > 0 then redis.call('DEL', unpack(gone)) end`;
