import { toAppError, type AppError } from '@headrace/base/errors';
import { ProtoWriter } from '@headrace/codec/writer';
import { PredictionDefinition, PredictResponse } from '@headrace/contracts/serving/v1/serving';
import type { CallContext, Codec, GrpcMethod, GrpcService } from '@headrace/platform/grpc/server';
import { Injectable } from '@nestjs/common';
import { Predictor } from '../app/predictor.js';
import type { PredictReplies } from '../domain/predict-job.js';
import { answersInOrder } from './answers-in-order.js';
import { HotPredict } from './hot-predict.js';

/** What the door needs of a call, whichever transport it came by. */
export type PredictCall = Pick<CallContext, 'deadlineMs' | 'signal' | 'metadata'>;

interface Waiting {
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: AppError) => void;
  readonly call: PredictCall;
}

/**
 * Predict over HTTP and grpc-js: bytes in, bytes out, one promise a call, one tick for all calls of an event-loop turn. Over libs/wire
 * calls reach the predictor through HotPredict, by the same two methods, and need none of this.
 */
@Injectable()
export class PredictionDoor implements PredictReplies {
  readonly #waiting = new Map<number, Waiting>();
  readonly #writer = new ProtoWriter();
  #next = 0;
  #isTickDue = false;

  constructor(private readonly predictor: Predictor) {}

  predict(request: Uint8Array, call: PredictCall): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const reply = this.#next++;
      this.#waiting.set(reply, { resolve, reject, call });
      this.predictor.submit(request, 0, request.length, reply, call.deadlineMs, this);
      if (this.#isTickDue) return;
      this.#isTickDue = true;
      setImmediate(this.#tick);
    });
  }

  /** Both messages stay bytes here: the hot codecs work inside the predictor. */
  service(): GrpcService {
    const { fullName, methods } = PredictionDefinition;
    const path = `/${fullName}/${methods.predict.name}`;
    const predict: GrpcMethod = {
      path,
      requestStream: false,
      responseStream: false,
      request: RAW,
      response: RAW,
      handle: (request, call) => this.predict(request as Uint8Array, call),
    };
    const stream: GrpcMethod = {
      ...predict,
      path: `/${fullName}/${methods.predictStream.name}`,
      requestStream: true,
      responseStream: true,
      handle: (requests, call) => answersInOrder(requests as AsyncIterable<Uint8Array>, (request) => this.#answerOrError(request, call)),
    };
    return { fullName, methods: [{ ...predict, hot: (replies, refuse) => new HotPredict(this.predictor, replies, refuse) }, stream] };
  }

  ok<T>(reply: number, encode: (value: T, writer: ProtoWriter) => void, value: T): void {
    encode(value, this.#writer.reset());
    this.#take(reply).resolve(this.#writer.finish());
  }

  fail(reply: number, error: AppError): void {
    this.#take(reply).reject(error);
  }

  isGone(reply: number): boolean {
    return this.#waiting.get(reply)!.call.signal.aborted;
  }

  flush(): void {
    // An answer is on its way with its promise.
  }

  headerOf(reply: number, name: string): string {
    return this.#waiting.get(reply)!.call.metadata.get(name) ?? '';
  }

  /** A refused request of a stream is an answer like the others: the next ones are not lost with it. */
  #answerOrError(request: Uint8Array, call: PredictCall): Promise<Uint8Array> {
    return this.predict(request, call).catch((thrown: unknown) => {
      const { code, message } = toAppError(thrown);
      return PredictResponse.encode(PredictResponse.fromPartial({ error: { code, message } })).finish();
    });
  }

  readonly #tick = (): void => {
    this.#isTickDue = false;
    this.predictor.tick();
  };

  #take(reply: number): Waiting {
    const waiting = this.#waiting.get(reply)!;
    this.#waiting.delete(reply);
    return waiting;
  }
}

const RAW: Codec<unknown> = { decode: (bytes) => bytes, encode: (bytes) => bytes as Uint8Array };
