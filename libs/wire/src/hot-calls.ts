import { AssertionFailed } from '@headrace/base/assert';
import type { ProtoWriter } from '@headrace/codec/writer';
import type { HotReplies, ReplyHandle } from './handler.js';
import { Metadata } from './metadata.js';
import type { ServerContext } from './server-context.js';
import type { ServerStream } from './server-stream.js';
import { GrpcError } from './status.js';
import type { StatusCode } from './status.js';

/** The door through which hot handlers answer. A handle is the index of a pooled stream, which stays theirs until it is answered. */
export class HotCalls implements HotReplies {
  private readonly bytes: RawMessage = { bytes: new Uint8Array(0), start: 0, end: 0 };

  constructor(private readonly context: ServerContext) {}

  isGone(reply: ReplyHandle): boolean {
    return this.unanswered(reply).gone;
  }

  ok(reply: ReplyHandle, message: Uint8Array, start: number, end: number): void {
    const { bytes } = this;
    bytes.bytes = message;
    bytes.start = start;
    bytes.end = end;
    this.okWith(reply, writeRaw, bytes);
  }

  okWith<T>(reply: ReplyHandle, encode: (value: T, writer: ProtoWriter) => void, value: T): void {
    const stream = this.unanswered(reply);
    if (!stream.gone) stream.answerOk(encode, value);
    stream.settle();
  }

  fail(reply: ReplyHandle, code: StatusCode, message: string, details?: Uint8Array): void {
    const stream = this.unanswered(reply);
    if (!stream.gone) stream.answerError(new GrpcError(code, message, { details }));
    stream.settle();
  }

  flush(): void {
    this.context.tick.flush();
  }

  headerOf(reply: ReplyHandle, name: string): string | undefined {
    const { head } = this.unanswered(reply);
    return head.asked.valueOf(name, head);
  }

  metadataOf(reply: ReplyHandle): Metadata {
    const { names, values } = this.unanswered(reply).head;
    return Metadata.fromFields(names, values, names.length);
  }

  private unanswered(reply: ReplyHandle): ServerStream {
    const stream = this.context.streamOf(reply);
    // Not by `assert`, whose text would be made several times for each call.
    if (!stream?.busy) throw new AssertionFailed(`an unanswered hot call, got handle ${reply}: each call is answered exactly once`);
    return stream;
  }
}

interface RawMessage {
  bytes: Uint8Array;
  start: number;
  end: number;
}

function writeRaw(message: RawMessage, writer: ProtoWriter): void {
  writer.raw(message.bytes, message.start, message.end);
}
