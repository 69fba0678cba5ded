/** Thrift compact protocol, the part that Parquet's page headers and footer need. Structs are lists of [field id, value]. */
export type ThriftValue =
  | { readonly kind: 'i32' | 'i64'; readonly value: number }
  | { readonly kind: 'text'; readonly value: string }
  | { readonly kind: 'struct'; readonly fields: ThriftFields }
  | { readonly kind: 'list'; readonly items: readonly ThriftValue[] };
/** By field id, ascending. */
export type ThriftFields = readonly (readonly [id: number, value: ThriftValue])[];

export const i32 = (value: number): ThriftValue => ({ kind: 'i32', value });
export const i64 = (value: number): ThriftValue => ({ kind: 'i64', value });
export const text = (value: string): ThriftValue => ({ kind: 'text', value });
export const struct = (...fields: ThriftFields): ThriftValue => ({ kind: 'struct', fields });
export const list = (items: readonly ThriftValue[]): ThriftValue => ({ kind: 'list', items });

export function encodeThrift(fields: ThriftFields): Buffer {
  const out: Buffer[] = [];
  writeFields(out, fields);
  return Buffer.concat(out);
}

const TYPES: Readonly<Record<ThriftValue['kind'], number>> = { i32: 5, i64: 6, text: 8, list: 9, struct: 12 };

function writeFields(out: Buffer[], fields: ThriftFields): void {
  let last = 0;
  for (const [id, value] of fields) {
    // Field ids of Parquet are below 16 apart, so the short form always fits.
    out.push(Buffer.of(((id - last) << 4) | TYPES[value.kind]));
    writeValue(out, value);
    last = id;
  }
  out.push(Buffer.of(0));
}

function writeValue(out: Buffer[], value: ThriftValue): void {
  switch (value.kind) {
    case 'i32':
    case 'i64':
      out.push(varint(value.value * 2)); // zigzag of what is never negative here
      return;
    case 'text': {
      const bytes = Buffer.from(value.value);
      out.push(varint(bytes.length), bytes);
      return;
    }
    case 'struct':
      writeFields(out, value.fields);
      return;
    case 'list': {
      const { items } = value;
      const type = items[0] === undefined ? TYPES.i32 : TYPES[items[0].kind];
      out.push(items.length < 15 ? Buffer.of((items.length << 4) | type) : Buffer.concat([Buffer.of(0xf0 | type), varint(items.length)]));
      for (const item of items) writeValue(out, item);
    }
  }
}

/** Unsigned LEB128. */
export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}
