import type { ProtoWriter } from '@headrace/codec/writer';
import { CallTimer } from './call-timer.js';
import type { ClientConnection } from './client-connection.js';
import type { ClientReceiver, ClientStream } from './client-stream.js';
import type { CallOptions, ClientMethod } from './client-types.js';
import { ErrorCode } from './frames.js';
import type { Fields } from './header-writer.js';
import type { Limits } from './limits.js';
import { MessageQueue } from './message-queue.js';
import type { Metadata } from './metadata.js';
import { Pacing } from './pacing.js';
import { timeoutText } from './request-head.js';
import { metadataFields } from './response-fields.js';
import { metadataOfHead } from './response-head.js';
import type { ResponseHead } from './response-head.js';
import { GrpcError, Status } from './status.js';

/** Times that a call is sent again when the server certainly has not seen it. */
const TRANSPARENT_RETRIES_MAX = 3;

/** What a call needs from its client. */
export interface CallHome {
  readonly limits: Limits;
  readonly baseFields: Fields;
  /** Starts the call now, or when there is a connection with room for it. */
  submit(call: ClientCall): void;
  /** The call ended while it was waiting. */
  withdraw(call: ClientCall): void;
}

/** What unary and streaming calls have in common: headers, deadline, cancellation, and another start when the server saw nothing. */
export abstract class ClientCall implements ClientReceiver {
  protected stream: ClientStream | null = null;
  protected over = false;
  private attempts = 0;
  private readonly timer: CallTimer | undefined;
  private readonly deadlineMs: number;

  constructor(
    protected readonly home: CallHome,
    protected readonly method: ClientMethod<unknown, unknown>,
    readonly options: CallOptions,
  ) {
    const { timeoutMs, signal } = options;
    this.deadlineMs = timeoutMs === undefined ? Infinity : Date.now() + timeoutMs;
    if (timeoutMs !== undefined) {
      this.timer = new CallTimer(() =>
        this.stop(new GrpcError(Status.DEADLINE_EXCEEDED, `The deadline of ${method.path} passed after ${timeoutMs} ms.`)),
      );
      this.timer.start(this.deadlineMs);
    }
    signal?.addEventListener('abort', this.onAbort, { once: true });
  }

  /** Called once, behind the constructor. */
  submit(): void {
    if (this.options.signal?.aborted === true) this.onAbort();
    else this.home.submit(this);
  }

  /** The client found a connection. */
  start(connection: ClientConnection): void {
    this.attempts++;
    const { path } = this.method;
    const { metadata, timeoutMs, gzip } = this.options;
    // The first start says the timeout as it was given, so that its bytes repeat from call to call; a later one says what is left.
    const timeout = timeoutMs === undefined ? undefined : timeoutText(this.attempts === 1 ? timeoutMs : this.deadlineMs - Date.now());
    const key = metadata === undefined && gzip !== true ? `${path}\0${timeout ?? ''}` : undefined;
    const fields: (readonly [string, string])[] = [[':method', 'POST'], [':path', path], ...this.home.baseFields];
    if (timeout !== undefined) fields.push(['grpc-timeout', timeout]);
    if (gzip === true) fields.push(['grpc-encoding', 'gzip']);
    if (metadata !== undefined) fields.push(...metadataFields(metadata));
    this.stream = connection.openStream(this, fields, key);
    this.sendRequests(connection, this.stream);
  }

  /** Ends the call from our side. */
  stop(error: GrpcError): void {
    if (this.over) return;
    if (this.stream === null) {
      this.home.withdraw(this);
      this.end(error, undefined);
    } else this.stream.cancel(ErrorCode.CANCEL, error);
  }

  onHeaders(head: ResponseHead): void {
    this.options.onHeaders?.(metadataOfHead(head));
  }

  onEnd(error: GrpcError | undefined, trailers: Metadata | undefined, unprocessed: boolean): void {
    this.stream = null;
    if (unprocessed && this.canRestart() && this.attempts <= TRANSPARENT_RETRIES_MAX && Date.now() < this.deadlineMs)
      this.home.submit(this);
    else this.end(error, trailers);
  }

  abstract onMessage(bytes: Uint8Array, start: number, end: number): void;
  abstract onDrained(): void;
  abstract takesMore(bytes: number): boolean;
  protected abstract sendRequests(connection: ClientConnection, stream: ClientStream): void;
  protected abstract canRestart(): boolean;
  protected abstract finish(error: GrpcError | undefined): void;

  protected readonly encode = (message: unknown, writer: ProtoWriter): void => this.method.request.encode(message, writer);

  private end(error: GrpcError | undefined, trailers: Metadata | undefined): void {
    if (this.over) return;
    this.over = true;
    this.timer?.stop();
    this.options.signal?.removeEventListener('abort', this.onAbort);
    if (error === undefined && trailers !== undefined) this.options.onTrailers?.(trailers);
    this.finish(error);
  }

  private readonly onAbort = (): void => {
    this.stop(new GrpcError(Status.CANCELLED, `The caller cancelled ${this.method.path}.`, { cause: this.options.signal?.reason }));
  };
}

/** One request, one response. */
export class UnaryCall extends ClientCall {
  private response: unknown;
  private responses = 0;

  constructor(
    home: CallHome,
    method: ClientMethod<unknown, unknown>,
    private readonly request: unknown,
    options: CallOptions,
    private readonly resolve: (response: unknown) => void,
    private readonly reject: (error: unknown) => void,
  ) {
    super(home, method, options);
  }

  onMessage(bytes: Uint8Array, start: number, end: number): void {
    this.responses++;
    this.response = this.method.response.decode(bytes, start, end - start);
  }

  onDrained(): void {
    // The one message has left; nothing waits for that.
  }

  takesMore(): boolean {
    return true;
  }

  protected sendRequests(_connection: ClientConnection, stream: ClientStream): void {
    try {
      stream.send(this.encode, this.request, true, this.options.gzip === true);
    } catch (error) {
      stream.cancel(
        ErrorCode.CANCEL,
        new GrpcError(Status.INTERNAL, `The request cannot be written: ${(error as Error).message}`, { cause: error }),
      );
    }
  }

  protected canRestart(): boolean {
    return true;
  }

  protected finish(error: GrpcError | undefined): void {
    if (error !== undefined) this.reject(error);
    else if (this.responses !== 1)
      this.reject(new GrpcError(Status.UNIMPLEMENTED, `${this.method.path} answered with ${this.responses} messages where one was due.`));
    else this.resolve(this.response);
  }
}

/** A call with a stream on at least one side: requests are taken from an iterable, responses are one. */
export class StreamingCall extends ClientCall {
  readonly responses: MessageQueue<unknown>;
  private owedCredit = 0;
  private pacing: Pacing | null = null;
  private iterator: AsyncIterator<unknown> | null = null;
  private readonly isOver = (): boolean => this.over || this.stream === null;

  constructor(
    home: CallHome,
    method: ClientMethod<unknown, unknown>,
    private readonly requests: AsyncIterable<unknown>,
    options: CallOptions,
  ) {
    super(home, method, options);
    const { streamQueueMessages, streamWindowBytes } = home.limits;
    this.responses = new MessageQueue(
      streamQueueMessages,
      streamWindowBytes,
      () => this.onTaken(),
      () => this.stop(new GrpcError(Status.CANCELLED, 'The reader of the responses left.')),
    );
  }

  onMessage(bytes: Uint8Array, start: number, end: number): void {
    this.responses.push(this.method.response.decode(bytes, start, end - start), end - start);
  }

  onDrained(): void {
    this.pacing?.wake();
  }

  takesMore(bytes: number): boolean {
    if (!this.responses.isFull) return true;
    this.owedCredit += bytes;
    return false;
  }

  protected sendRequests(connection: ClientConnection, stream: ClientStream): void {
    this.pacing = new Pacing(connection.session, stream.sender, this.home.limits);
    this.iterator = this.requests[Symbol.asyncIterator]();
    void this.pump(this.iterator, stream, this.pacing).catch((error: unknown) => {
      this.stop(
        error instanceof GrpcError
          ? error
          : new GrpcError(Status.CANCELLED, `The requests of ${this.method.path} failed: ${(error as Error).message}`, { cause: error }),
      );
    });
  }

  /** Requests that were taken from the iterable are gone; only a call that has not begun can move to another connection. */
  protected canRestart(): boolean {
    return this.iterator === null;
  }

  protected finish(error: GrpcError | undefined): void {
    this.pacing?.wake();
    if (error === undefined) this.responses.end();
    else this.responses.fail(error);
    // The iterable may be in the middle of its work; it ends when it yields next, and its own failure matters to nobody any more.
    this.iterator?.return?.().catch(() => undefined);
  }

  private async pump(requests: AsyncIterator<unknown>, stream: ClientStream, pacing: Pacing): Promise<void> {
    for (;;) {
      const request = await requests.next();
      if (this.over) return;
      if (request.done === true) return stream.endRequests();
      stream.send(this.encode, request.value, false, this.options.gzip === true);
      await pacing.room(this.isOver);
    }
  }

  private onTaken(): void {
    if (this.owedCredit === 0 || this.responses.isFull) return;
    const owed = this.owedCredit;
    this.owedCredit = 0;
    this.stream?.credit(owed);
  }
}
