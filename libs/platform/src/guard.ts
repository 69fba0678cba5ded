import { AppError } from '@headrace/base/errors';
import { createHash, timingSafeEqual } from 'node:crypto';

/** What a caller may be allowed to do. `public` needs no key: health, metrics of a loopback process, reflection. */
export const PERMISSIONS = [
  'public',
  'features:read',
  'features:write',
  'models:read',
  'models:write',
  'models:promote',
  'training:read',
  'training:run',
  'predict',
  'monitor:read',
  'monitor:write',
  'admin',
] as const;
export type Permission = (typeof PERMISSIONS)[number];

/**
 * The one table of a service through which every door passes. Deny by default: a route, method or topic that is not in it
 * stops the service from starting, so a forgotten router can never be an open one.
 */
export interface GuardTable {
  /** `GET /models/:model` -> permission */
  readonly http: Readonly<Record<string, Permission>>;
  /** `/headrace.registry.v1.Registry/GetModel` -> permission */
  readonly grpc: Readonly<Record<string, Permission>>;
  /** Topic that the service reads or writes -> permission that a writer needs. */
  readonly topics: Readonly<Record<string, Permission>>;
}

/** Doors that the platform opens in every service. */
export const PLATFORM_GUARD: GuardTable = {
  http: { 'GET /health/live': 'public', 'GET /health/ready': 'public', 'GET /metrics': 'public' },
  grpc: {
    '/grpc.health.v1.Health/Check': 'public',
    '/grpc.health.v1.Health/Watch': 'public',
    '/grpc.health.v1.Health/List': 'public',
    '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo': 'public',
    '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo': 'public',
  },
  topics: {},
};

export interface Principal {
  readonly name: string;
  readonly permissions: ReadonlySet<Permission>;
}

const ALL: ReadonlySet<Permission> = new Set(PERMISSIONS);
const ANONYMOUS: Principal = { name: 'anonymous', permissions: new Set<Permission>(['public']) };

export class Guard {
  readonly #table: GuardTable;
  readonly #keyHash: Buffer | undefined;

  /** @param apiKey empty = every caller may do everything; `refuseOpenDoor` allows that on loopback only. */
  constructor(table: GuardTable, apiKey: string) {
    this.#table = {
      http: { ...PLATFORM_GUARD.http, ...table.http },
      grpc: { ...PLATFORM_GUARD.grpc, ...table.grpc },
      topics: table.topics,
    };
    this.#keyHash = apiKey ? sha256(apiKey) : undefined;
  }

  /** No API key is set: there is nothing to check in a call. */
  get isOpen(): boolean {
    return this.#keyHash === undefined;
  }

  /** Needs no key and no certificate. @param door key of the table. */
  isPublic(kind: 'http' | 'grpc', door: string): boolean {
    return Object.hasOwn(this.#table[kind], door) && this.#table[kind][door] === 'public';
  }

  /** @throws AppError UNAUTHENTICATED | PERMISSION_DENIED. @param door key of the table. */
  admit(kind: keyof GuardTable, door: string, authorization: string | undefined): Principal {
    const needed = Object.hasOwn(this.#table[kind], door) ? this.#table[kind][door] : undefined;
    if (needed === undefined) throw new AppError('PERMISSION_DENIED', `${door} is not in the guard table`);
    const principal = this.#identify(authorization);
    if (principal.permissions.has(needed)) return principal;
    if (principal === ANONYMOUS) throw new AppError('UNAUTHENTICATED', `${door} needs an API key: send \`authorization: Bearer <key>\``);
    throw new AppError('PERMISSION_DENIED', `${door} needs the permission ${needed}`);
  }

  /** Doors that exist but are not in the table. */
  missing(kind: keyof GuardTable, doors: readonly string[]): string[] {
    return doors.filter((door) => !Object.hasOwn(this.#table[kind], door));
  }

  /** Rows of the table that no door answers to: left-overs that would hide a typing mistake. */
  unused(kind: 'http' | 'grpc', doors: readonly string[]): string[] {
    const known = new Set([...doors, ...Object.keys(PLATFORM_GUARD[kind])]);
    return Object.keys(this.#table[kind]).filter((door) => !known.has(door));
  }

  #identify(authorization: string | undefined): Principal {
    if (!this.#keyHash) return { name: 'local', permissions: ALL };
    const given = authorization?.startsWith('Bearer ') ? authorization.slice(7).trim() : undefined;
    if (given === undefined) return ANONYMOUS;
    // Comparing hashes takes the same time whatever the text, so a key cannot be guessed letter by letter.
    if (!timingSafeEqual(sha256(given), this.#keyHash)) throw new AppError('UNAUTHENTICATED', 'the API key is not valid');
    return { name: 'api-key', permissions: ALL };
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
