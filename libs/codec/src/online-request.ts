import { DELIMITED, ProtoReader } from './reader.js';

/**
 * headrace.features.v1.GetOnlineFeaturesRequest on the wire, read without an object for each entity:
 *
 *   request  = [0x0a project:string] (0x12 reference:string)* (0x1a entity)* [0x22 service:string]
 *   entity   = len (0x0a entry)*            entry  = len 0x0a name:string 0x12 value:string
 *
 * Fields in another order are legal protobuf, but no encoder writes them so: that is left to the generated code.
 */
export interface AskedFeatures {
  readonly project: string;
  /** `view:feature` */
  readonly features: readonly string[];
  /** Empty when features are named. */
  readonly featureService: string;
}

/** Tags of the request's fields; an entity and its entries have the first two for entries, and for name and value. */
const FIRST = (1 << 3) | DELIMITED;
const SECOND = (2 << 3) | DELIMITED;
const ENTITY = (3 << 3) | DELIMITED;
const SERVICE = (4 << 3) | DELIMITED;
/** Different heads that are remembered: callers repeat a handful for ever. */
const HEADS_MAX = 64;
/** Longer ones are read anew each time, so that the memory is bounded. */
const HEAD_BYTES_MAX = 64 * 1024;

interface Head {
  /** What stands before and behind the entities. */
  readonly head: Buffer;
  readonly tail: Buffer;
  readonly asked: AskedFeatures;
}

/** `start`, then `entity` until it says `end`. Reusable. @throws AppError REQUEST_INVALID on malformed bytes. */
export class OnlineRequestReader {
  readonly #reader = new ProtoReader();
  #heads: Head[] = [];

  /** What is asked, the same object for the same bytes. */
  start(bytes: Buffer, start: number, end: number): AskedFeatures {
    const reader = this.#reader.reset(bytes, start, end);
    let headEnd = start;
    let namesFeatures = false;
    for (let tag = reader.tag(); tag !== 0 && tag !== ENTITY && tag !== SERVICE; tag = reader.tag()) {
      reader.skip(tag);
      headEnd = reader.pos;
      if (tag === SECOND) namesFeatures = true;
    }
    reader.pos = headEnd;
    const tailAt = namesFeatures ? end : this.#passEntities(end);
    reader.end = tailAt;
    reader.pos = headEnd;
    for (const { head, tail, asked } of this.#heads) {
      if (isAt(head, bytes, start, headEnd) && isAt(tail, bytes, tailAt, end)) return asked;
    }
    const asked = readHead(bytes, { start, headEnd, tailAt, end });
    if (headEnd - start + end - tailAt <= HEAD_BYTES_MAX) {
      if (this.#heads.length === HEADS_MAX) this.#heads = [];
      this.#heads.push({ head: Buffer.from(bytes.subarray(start, headEnd)), tail: Buffer.from(bytes.subarray(tailAt, end)), asked });
    }
    return asked;
  }

  /** @returns where the service stands when it is all that follows the entities, else the end. */
  #passEntities(end: number): number {
    const reader = this.#reader;
    for (;;) {
      const at = reader.pos;
      const tag = reader.tag();
      if (tag === 0) return end;
      reader.skip(tag);
      if (tag !== ENTITY) return tag === SERVICE && reader.pos === end ? at : end;
    }
  }

  /** Reads one entity: the values of the named keys into `values`, undefined where it has none. Other keys are passed over. */
  entity(names: readonly string[], values: (string | undefined)[]): 'read' | 'end' | 'unusual' {
    const reader = this.#reader;
    const tag = reader.tag();
    if (tag === 0) return 'end';
    if (tag !== ENTITY) return 'unusual';
    values.fill(undefined);
    const outer = reader.enter();
    for (let field = reader.tag(); field !== 0; field = reader.tag()) {
      if (field !== FIRST) reader.skip(field);
      else this.#entry(names, values);
    }
    reader.leave(outer);
    return 'read';
  }

  #entry(names: readonly string[], values: (string | undefined)[]): void {
    const reader = this.#reader;
    let name = '';
    let value = '';
    const outer = reader.enter();
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === FIRST) name = reader.string();
      else if (tag === SECOND) value = reader.string();
      else reader.skip(tag);
    }
    reader.leave(outer);
    const slot = names.indexOf(name);
    if (slot >= 0) values[slot] = value;
  }
}

function isAt(known: Buffer, bytes: Buffer, start: number, end: number): boolean {
  return known.length === end - start && known.compare(bytes, start, end) === 0;
}

function readHead(bytes: Uint8Array, at: { start: number; headEnd: number; tailAt: number; end: number }): AskedFeatures {
  const reader = new ProtoReader(bytes, at.start, at.headEnd);
  const features: string[] = [];
  let project = '';
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === FIRST) project = reader.string();
    else if (tag === SECOND) features.push(reader.string());
    else reader.skip(tag);
  }
  reader.reset(bytes, at.tailAt, at.end);
  return { project, features, featureService: reader.tag() === SERVICE ? reader.string() : '' };
}
