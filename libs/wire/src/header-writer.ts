import { ProtoWriter } from '@headrace/codec/writer';
import { writeHeaders } from './frames.js';
import type { Session } from './session.js';

/** Names and values in the order of the wire. */
export type Fields = readonly (readonly [name: string, value: string])[];

/** Blocks are encoded here and copied behind their frame header, since CONTINUATION may have to cut them. Used within one call only. */
const scratch = new ProtoWriter(4096);

/** Writes one header block as HEADERS (and CONTINUATION) to the session's output. */
export function sendHeaders(session: Session, streamId: number, fields: Fields, endStream: boolean): void {
  encode(session, fields);
  writeHeaders(session.out(), streamId, scratch.bytes, scratch.pos, endStream, session.peer.frameBytesMax);
}

/**
 * Fields that a connection sends over and over. The first block brings them into the peer's table; the second is a few index bytes, which
 * are kept and copied from then on, as long as the table stands.
 */
export class HeaderTemplate {
  private block: Uint8Array | null = null;
  private version = -1;

  constructor(private readonly fields: Fields) {}

  send(session: Session, streamId: number, endStream: boolean): void {
    if (this.block !== null && this.version === session.encoder.version) {
      writeHeaders(session.out(), streamId, this.block, this.block.length, endStream, session.peer.frameBytesMax);
      return;
    }
    const before = session.encoder.version;
    encode(session, this.fields);
    writeHeaders(session.out(), streamId, scratch.bytes, scratch.pos, endStream, session.peer.frameBytesMax);
    this.version = session.encoder.version;
    this.block = this.version === before ? scratch.finish() : null;
  }
}

function encode(session: Session, fields: Fields): void {
  scratch.reset();
  session.encoder.beginBlock(scratch);
  for (const [name, value] of fields) session.encoder.field(name, value, scratch);
}
