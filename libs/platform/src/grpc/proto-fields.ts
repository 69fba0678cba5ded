import { BinaryReader } from '@bufbuild/protobuf/wire';

export interface ProtoField {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** The length-delimited fields of a message, for walking one whose generated type we do not have. Others are skipped. */
export function lengthDelimited(bytes: Uint8Array): ProtoField[] {
  const reader = new BinaryReader(bytes);
  const found: ProtoField[] = [];
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (wireType === 2) found.push({ number, bytes: reader.bytes() });
    else reader.skip(wireType, number);
  }
  return found;
}

/** The first field of that number as text; '' when it is absent. */
export function textOf(fields: readonly ProtoField[], number: number): string {
  return Buffer.from(fields.find((field) => field.number === number)?.bytes ?? new Uint8Array()).toString('utf8');
}
