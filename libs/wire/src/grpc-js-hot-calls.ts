import { Metadata as GrpcJsMetadata } from '@grpc/grpc-js';
import type { handleUnaryCall, sendUnaryData, ServerUnaryCall, ServiceError } from '@grpc/grpc-js';
import { AssertionFailed } from '@headrace/base/assert';
import { ProtoWriter } from '@headrace/codec/writer';
import { fromGrpcJs } from './grpc-js-metadata.js';
import type { HotEntry, HotReplies, HotUnaryHandler, ReplyHandle } from './handler.js';
import type { Metadata } from './metadata.js';
import { toGrpcError } from './status.js';
import type { StatusCode } from './status.js';

/** A hot handler over grpc-js: the same contract, at the price of its objects per call. */
export class GrpcJsHotCalls implements HotReplies {
  private readonly handler: HotUnaryHandler;
  private readonly calls: ({ call: ServerUnaryCall<Buffer, unknown>; callback: sendUnaryData<unknown> } | undefined)[] = [];
  private readonly free: number[] = [];
  private scheduled = false;

  constructor(
    entry: HotEntry,
    private readonly onDefect: (error: unknown) => void,
  ) {
    this.handler = entry.hot(this);
  }

  readonly handle: handleUnaryCall<Buffer, unknown> = (call, callback) => {
    const reply = this.free.pop() ?? this.calls.length;
    this.calls[reply] = { call, callback };
    const deadline = call.getDeadline();
    try {
      this.handler.onMessage(call.request, 0, call.request.length, reply, typeof deadline === 'number' ? deadline : deadline.getTime());
    } catch (error) {
      this.onDefect(error);
      const { code, message } = toGrpcError(error);
      if (this.calls[reply] !== undefined) this.fail(reply, code, message);
    }
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.handler.onTick();
    });
  };

  isGone(reply: ReplyHandle): boolean {
    return this.unanswered(reply).call.cancelled;
  }

  ok(reply: ReplyHandle, message: Uint8Array, start: number, end: number): void {
    this.take(reply).callback(null, Buffer.from(message.subarray(start, end)));
  }

  okWith<T>(reply: ReplyHandle, encode: (value: T, writer: ProtoWriter) => void, value: T): void {
    const writer = new ProtoWriter(256);
    encode(value, writer);
    this.take(reply).callback(null, writer.bytes.subarray(0, writer.pos));
  }

  fail(reply: ReplyHandle, code: StatusCode, message: string, details?: Uint8Array): void {
    const metadata = new GrpcJsMetadata();
    if (details !== undefined) metadata.set('grpc-status-details-bin', Buffer.from(details));
    const error: Partial<ServiceError> = { code, details: message, metadata };
    this.take(reply).callback(error);
  }

  flush(): void {
    // An answer goes to the socket when it is given.
  }

  headerOf(reply: ReplyHandle, name: string): string | undefined {
    const value = this.unanswered(reply).call.metadata.get(name)[0];
    return typeof value === 'string' ? value : value?.toString('base64');
  }

  metadataOf(reply: ReplyHandle): Metadata {
    return fromGrpcJs(this.unanswered(reply).call.metadata);
  }

  private unanswered(reply: ReplyHandle): { call: ServerUnaryCall<Buffer, unknown>; callback: sendUnaryData<unknown> } {
    const call = this.calls[reply];
    if (call === undefined) throw new AssertionFailed(`an unanswered hot call, got handle ${reply}: each call is answered exactly once`);
    return call;
  }

  private take(reply: ReplyHandle): { callback: sendUnaryData<unknown> } {
    const call = this.unanswered(reply);
    this.calls[reply] = undefined;
    this.free.push(reply);
    return call;
  }
}
