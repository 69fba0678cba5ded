/** Bytes that an entry counts beyond its name and value (RFC 7541 section 4.1). */
export const ENTRY_OVERHEAD_BYTES = 32;
/** The size that both sides start with, before any SETTINGS_HEADER_TABLE_SIZE. */
export const TABLE_SIZE_DEFAULT = 4096;
/** The first index of the dynamic table. */
export const FIRST_DYNAMIC_INDEX = 62;

/** The dynamic table of one direction of a connection: a ring, newest entry first. */
export class HpackTable {
  /** Changes whenever an index may mean something else than before: what was derived from indexes is valid while it stands. */
  version = 0;
  count = 0;
  sizeBytes = 0;
  private names: string[] = new Array<string>(8).fill('');
  private values: string[] = new Array<string>(8).fill('');
  private newest = 0;

  constructor(public capacityBytes: number = TABLE_SIZE_DEFAULT) {}

  /** 0 is the newest entry; undefined behind the oldest. */
  nameAt(age: number): string | undefined {
    return age < this.count ? this.names[(this.newest - age) & (this.names.length - 1)] : undefined;
  }

  valueAt(age: number): string {
    return this.values[(this.newest - age) & (this.values.length - 1)]!;
  }

  /** An entry larger than the table empties it, which is legal. */
  insert(name: string, value: string): void {
    this.version++;
    const entryBytes = name.length + value.length + ENTRY_OVERHEAD_BYTES;
    this.evictTo(this.capacityBytes - entryBytes);
    if (entryBytes > this.capacityBytes) return;
    if (this.count === this.names.length) this.grow();
    this.newest = (this.newest + 1) & (this.names.length - 1);
    this.names[this.newest] = name;
    this.values[this.newest] = value;
    this.sizeBytes += entryBytes;
    this.count++;
  }

  resize(capacityBytes: number): void {
    this.version++;
    this.capacityBytes = capacityBytes;
    this.evictTo(capacityBytes);
  }

  /** The age of the entry with this name and value, or -1. */
  find(name: string, value: string): number {
    for (let age = 0; age < this.count; age++) {
      const slot = (this.newest - age) & (this.names.length - 1);
      if (this.values[slot] === value && this.names[slot] === name) return age;
    }
    return -1;
  }

  private evictTo(limitBytes: number): void {
    while (this.count > 0 && this.sizeBytes > limitBytes) {
      const oldest = (this.newest - this.count + 1) & (this.names.length - 1);
      this.sizeBytes -= this.names[oldest]!.length + this.values[oldest]!.length + ENTRY_OVERHEAD_BYTES;
      this.names[oldest] = '';
      this.values[oldest] = '';
      this.count--;
    }
  }

  /** Doubles the ring; it never exceeds capacity / 32 entries, which is 128 for the default table. */
  private grow(): void {
    const size = this.names.length * 2;
    const names = new Array<string>(size).fill('');
    const values = new Array<string>(size).fill('');
    for (let age = 0; age < this.count; age++) {
      names[this.count - age] = this.nameAt(age)!;
      values[this.count - age] = this.valueAt(age);
    }
    this.names = names;
    this.values = values;
    this.newest = this.count;
  }
}

/** The static table (RFC 7541 appendix A); index 0 is unused. */
export const STATIC_NAMES: readonly string[] = [''];
export const STATIC_VALUES: readonly string[] = [''];
for (const line of `:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`.split('\n')) {
  const space = line.indexOf(' ');
  (STATIC_NAMES as string[]).push(space < 0 ? line : line.slice(0, space));
  (STATIC_VALUES as string[]).push(space < 0 ? '' : line.slice(space + 1));
}

const staticByName = new Map<string, number>();
const staticByField = new Map<string, number>();
for (let index = STATIC_NAMES.length - 1; index > 0; index--) {
  staticByName.set(STATIC_NAMES[index]!, index);
  staticByField.set(`${STATIC_NAMES[index]!}\0${STATIC_VALUES[index]!}`, index);
}

/** Index of the name in the static table, or 0. */
export function staticNameIndex(name: string): number {
  return staticByName.get(name) ?? 0;
}

/** Index of the whole field in the static table, or 0. */
export function staticFieldIndex(name: string, value: string): number {
  return staticByField.get(`${name}\0${value}`) ?? 0;
}
