import type { AppError } from '@headrace/base/errors';
import type { ProtoWriter } from '@headrace/codec/writer';
import type { HotReplies, HotUnaryHandler, ReplyHandle } from '@headrace/wire/handler';
import type { Predictor } from '../app/predictor.js';
import type { PredictReplies } from '../domain/predict-job.js';

/** Predict over libs/wire: the predictor reads the receive buffer in place, and makes no promise, closure or object for the call. */
export class HotPredict implements HotUnaryHandler, PredictReplies {
  constructor(
    private readonly predictor: Predictor,
    private readonly replies: HotReplies,
    private readonly refuse: (reply: ReplyHandle, error: AppError) => void,
  ) {}

  onMessage(bytes: Uint8Array, start: number, end: number, reply: ReplyHandle, deadlineMs: number): void {
    this.predictor.submit(bytes, start, end, reply, deadlineMs, this);
  }

  onTick(): void {
    this.predictor.tick();
  }

  ok<T>(reply: ReplyHandle, encode: (value: T, writer: ProtoWriter) => void, value: T): void {
    this.replies.okWith(reply, encode, value);
  }

  fail(reply: ReplyHandle, error: AppError): void {
    this.refuse(reply, error);
  }

  isGone(reply: ReplyHandle): boolean {
    return this.replies.isGone(reply);
  }

  flush(): void {
    this.replies.flush();
  }

  /** Looked for in the header block that the connection keeps; nothing is made. */
  headerOf(reply: ReplyHandle, name: string): string {
    return this.replies.headerOf(reply, name) ?? '';
  }
}
