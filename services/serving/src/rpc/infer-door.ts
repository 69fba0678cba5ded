import type { AppError } from '@headrace/base/errors';
import type { HotReplies, HotUnaryHandler, ReplyHandle } from '@headrace/wire/handler';
import { toAppError } from '@headrace/base/errors';
import { decodeInferRequest } from '@headrace/codec/infer-request';
import { encodeInferResponse } from '@headrace/codec/infer-response';
import { Injectable } from '@nestjs/common';
import { TensorInference, type TensorCall } from '../app/tensor-inference.js';
import type { TensorAnswer, TensorRequest } from '../domain/tensor-request.js';
import { PROJECT_HEADER, toInferResponse, toTensorRequest } from './infer-messages.js';

/** Tensors over HTTP, streams and grpc-js: one promise a request. */
@Injectable()
export class InferDoor {
  constructor(readonly inference: TensorInference) {}

  infer(request: TensorRequest, signal: AbortSignal, headerOf: TensorCall['headerOf']): Promise<TensorAnswer> {
    return new Promise((ok, fail) => {
      this.inference.submit(request, { ok, fail, isGone: () => signal.aborted, headerOf });
    });
  }
}

/** ModelInfer over libs/wire: read in place, answered by encoding into the socket's output. */
export class HotInfer implements HotUnaryHandler {
  constructor(
    private readonly inference: TensorInference,
    private readonly replies: HotReplies,
    private readonly refuse: (reply: ReplyHandle, error: AppError) => void,
  ) {}

  onMessage(bytes: Uint8Array, start: number, end: number, reply: ReplyHandle, deadlineMs: number): void {
    const { replies, refuse } = this;
    try {
      const message = decodeInferRequest(bytes, start, end);
      const call: TensorCall = {
        ok: (answer) => replies.okWith(reply, encodeInferResponse, toInferResponse(answer, message.raw.length > 0)),
        fail: (error) => refuse(reply, error),
        isGone: () => replies.isGone(reply),
        headerOf: (name) => replies.headerOf(reply, name) ?? '',
      };
      this.inference.submit(toTensorRequest(message, replies.headerOf(reply, PROJECT_HEADER) ?? '', deadlineMs), call);
    } catch (error) {
      refuse(reply, toAppError(error));
    }
  }

  /** The work schedules itself behind the messages of the turn. */
  onTick(): void {
    return;
  }
}
