/**
 * Walks the fields of one protobuf message without a schema: enough to inspect a file from a stranger. Every length is checked
 * before use, varints end after 10 bytes, groups (deprecated wire types 3 and 4) are refused. @throws MalformedProtobuf
 */
export interface Field {
  readonly number: number;
  /** Varint value; 0 for other wire types. Above 2^53 it is rounded, which no field that we read needs. */
  readonly value: number;
  /** Bytes of a length-delimited field; empty for other wire types. */
  readonly bytes: Uint8Array;
  readonly lengthDelimited: boolean;
}

export class MalformedProtobuf extends Error {
  override readonly name = 'MalformedProtobuf';
}

export function* fieldsOf(message: Uint8Array): Generator<Field> {
  const cursor = { at: 0 };
  while (cursor.at < message.length) {
    const tag = varint(message, cursor);
    const number = Math.floor(tag / 8);
    if (number === 0) throw new MalformedProtobuf('field number 0');
    switch (tag % 8) {
      case 0:
        yield { number, value: varint(message, cursor), bytes: EMPTY, lengthDelimited: false };
        break;
      case 1:
        take(message, cursor, 8);
        yield { number, value: 0, bytes: EMPTY, lengthDelimited: false };
        break;
      case 2: {
        const length = varint(message, cursor);
        yield { number, value: 0, bytes: take(message, cursor, length), lengthDelimited: true };
        break;
      }
      case 5:
        take(message, cursor, 4);
        yield { number, value: 0, bytes: EMPTY, lengthDelimited: false };
        break;
      default:
        throw new MalformedProtobuf(`wire type ${tag % 8} of field ${number}`);
    }
  }
}

/** @throws MalformedProtobuf when the bytes are not UTF-8. */
export function text(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new MalformedProtobuf('a text field is not UTF-8');
  }
}

const EMPTY = new Uint8Array(0);
const UTF8 = new TextDecoder('utf-8', { fatal: true });

function varint(message: Uint8Array, cursor: { at: number }): number {
  let value = 0;
  let scale = 1;
  for (let i = 0; i < 10; i++) {
    const byte = message[cursor.at++];
    if (byte === undefined) throw new MalformedProtobuf('truncated varint');
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
    scale *= 128;
  }
  throw new MalformedProtobuf('varint longer than 10 bytes');
}

function take(message: Uint8Array, cursor: { at: number }, length: number): Uint8Array {
  if (length > message.length - cursor.at)
    throw new MalformedProtobuf(`a field of ${length} bytes in a message with ${message.length - cursor.at} left`);
  const bytes = message.subarray(cursor.at, cursor.at + length);
  cursor.at += length;
  return bytes;
}
