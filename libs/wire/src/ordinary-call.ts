import { ProtoWriter } from '@headrace/codec/writer';
import { CallTimer } from './call-timer.js';
import type { CallContext, MethodEntry } from './handler.js';
import { MESSAGE_PREFIX_BYTES } from './inbox.js';
import { deflateMessage } from './inflate.js';
import { MessageQueue } from './message-queue.js';
import { Metadata } from './metadata.js';
import { errorTrailers, metadataFields, OK_HEADERS, OK_HEADERS_GZIP, OK_TRAILERS } from './response-fields.js';
import type { Method, ServerContext } from './server-context.js';
import type { ServerStream } from './server-stream.js';
import { writePrefix } from './server-stream.js';
import { GrpcError, Status, toGrpcError } from './status.js';

type OrdinaryEntry = Exclude<MethodEntry, { kind: 'hot' }>;

/** Messages are encoded here before they go to the stream; used within one call only. */
const scratch = new ProtoWriter(4096);

/** One call of an ordinary handler: the context that it sees, its requests as an iterable, and its answers. */
export class OrdinaryCall implements CallContext {
  readonly deadlineMs: number;
  private readonly entry: OrdinaryEntry;
  private metadataRead: Metadata | undefined;
  private abortController: AbortController | undefined;
  private abortedBy: GrpcError | undefined;
  private requests: MessageQueue<unknown> | null = null;
  private answers: AsyncIterator<unknown> | null = null;
  private initialMetadata: Metadata | undefined;
  private trailingMetadata: Metadata | undefined;
  private headersSent = false;
  /** The answer stands, or nobody waits for it. */
  private finished = false;
  /** The handler has returned. */
  private settled = false;
  /** Received bytes for which the peer has no new window yet, because the reader is behind. */
  private owedCredit = 0;
  private readonly timer: CallTimer;
  private resumeWriter: (() => void) | null = null;

  constructor(
    private readonly stream: ServerStream,
    method: Method,
    private readonly context: ServerContext,
  ) {
    this.entry = method.entry as OrdinaryEntry;
    this.deadlineMs = stream.deadlineMs;
    this.timer = new CallTimer(() => this.onDeadline());
  }

  get path(): string {
    return this.entry.definition.path;
  }

  get metadata(): Metadata {
    const { names, values } = this.stream.head;
    return (this.metadataRead ??= Metadata.fromFields(names, values, names.length));
  }

  get signal(): AbortSignal {
    if (this.abortController === undefined) {
      this.abortController = new AbortController();
      if (this.abortedBy !== undefined) this.abortController.abort(this.abortedBy);
    }
    return this.abortController.signal;
  }

  get peer(): string {
    return this.stream.connection.peer;
  }

  setInitialMetadata(metadata: Metadata): void {
    if (this.headersSent) throw new Error(`${this.path}: the headers have gone out already.`);
    this.initialMetadata = metadata;
  }

  setTrailingMetadata(metadata: Metadata): void {
    this.trailingMetadata = metadata;
  }

  /** Unary and server-streaming calls start when their one request is there. */
  startUnary(bytes: Uint8Array, start: number, end: number): void {
    const { entry } = this;
    try {
      const request = entry.definition.request.decode(bytes, start, end - start);
      if (entry.kind === 'unary') this.answerWith(entry.handler(request, this));
      else if (entry.kind === 'server-stream') this.pump(entry.handler(request, this));
    } catch (error) {
      this.fail(error);
    }
  }

  /** Client-streaming and bidirectional calls start with their headers. */
  startStreaming(): void {
    const { entry } = this;
    const { streamQueueMessages, streamWindowBytes } = this.context.limits;
    this.requests = new MessageQueue(streamQueueMessages, streamWindowBytes, (bytes) => this.onTaken(bytes));
    try {
      if (entry.kind === 'client-stream') this.answerWith(entry.handler(this.requests, this));
      else if (entry.kind === 'bidi') this.pump(entry.handler(this.requests, this));
    } catch (error) {
      this.fail(error);
    }
  }

  onMessage(bytes: Uint8Array, start: number, end: number): void {
    if (this.finished || this.requests === null) return;
    if (!this.stream.onBuffered(end - start)) return this.stream.onInboxError(new GrpcError(Status.RESOURCE_EXHAUSTED, 'Too many unread messages on this connection or server; retry later.'));
    try {
      this.requests.push(this.entry.definition.request.decode(bytes, start, end - start), end - start);
    } catch (error) {
      this.stream.onBuffered(start - end);
      this.refuse(toGrpcError(error));
    }
  }

  onRequestEnd(): void {
    this.requests?.end();
  }

  /** May the peer send as much again now? If not, the credit is given when the reader catches up. */
  takesMore(bytes: number): boolean {
    if (this.requests?.isFull !== true) return true;
    this.owedCredit += bytes;
    return false;
  }

  /** The stream is gone, or the deadline passed: the handler hears of it, its answer is dropped. */
  abort(error: GrpcError): void {
    if (this.abortedBy !== undefined || this.finished) return;
    this.abortedBy = error;
    this.finished = true;
    this.timer.stop();
    this.abortController?.abort(error);
    this.requests?.fail(error);
    this.onDrained();
    this.stopAnswers();
  }

  /** A generator that waits inside runs its `finally` when it resumes; one that is suspended at a yield runs it now. */
  private stopAnswers(): void {
    this.answers?.return?.().catch((cause: unknown) => this.context.onDefect(cause));
  }

  onDrained(): void {
    this.resumeWriter?.();
    this.resumeWriter = null;
  }

  private onDeadline(): void {
    this.refuse(new GrpcError(Status.DEADLINE_EXCEEDED, `The deadline of ${this.path} passed.`));
  }

  /** Answers while the handler is still at work. */
  private refuse(error: GrpcError): void {
    this.abort(error);
    if (this.stream.open) this.stream.answerError(error);
  }

  private onTaken(bytes: number): void {
    this.stream.onBuffered(-bytes);
    if (this.owedCredit === 0 || this.requests?.isFull === true) return;
    const owed = this.owedCredit;
    this.owedCredit = 0;
    this.stream.credit(owed);
  }

  private answerWith(result: unknown): void {
    if (!(result instanceof Promise)) {
      this.answerUnary(result);
      return;
    }
    this.timer.start(this.deadlineMs);
    result.then(
      (response) => this.answerUnary(response),
      (error: unknown) => this.fail(error),
    );
  }

  private answerUnary(response: unknown): void {
    if (!this.finished) {
      const { definition } = this.entry;
      const plain = this.initialMetadata === undefined && this.trailingMetadata === undefined && this.context.compressAboveBytes === Infinity;
      if (plain) this.stream.answerOk((value, writer) => definition.response.encode(value, writer), response);
      else if (this.send(response)) this.succeed();
    }
    this.finish();
  }

  private pump(answers: AsyncIterable<unknown>): void {
    this.timer.start(this.deadlineMs);
    this.answers = answers[Symbol.asyncIterator]();
    void this.sendAll(this.answers).then(
      () => {
        if (!this.finished) this.succeed();
        this.finish();
      },
      (error: unknown) => this.fail(error),
    );
  }

  private async sendAll(answers: AsyncIterator<unknown>): Promise<void> {
    for (;;) {
      const answer = await answers.next();
      if (this.finished || answer.done === true) return;
      if (!this.send(answer.value)) return;
      await this.room();
    }
  }

  /** Waits while the peer or the socket does not take what is there, and lets other work in between long runs of messages. */
  private async room(): Promise<void> {
    const { output } = this.stream.connection.session;
    const { streamOutputBytesMax, outputBytesMax } = this.context.limits;
    if (output.turnBytes > TURN_BYTES_MAX) await new Promise(setImmediate);
    while (!this.finished && this.stream.sender.queuedBytes > streamOutputBytesMax) await new Promise<void>((resolve) => (this.resumeWriter = resolve));
    while (!this.finished && output.waitingBytes > outputBytesMax) await output.drained();
  }

  /** False when the message could not be encoded; the call has failed then. */
  private send(message: unknown): boolean {
    scratch.reset();
    scratch.reserve(MESSAGE_PREFIX_BYTES);
    scratch.pos = MESSAGE_PREFIX_BYTES;
    try {
      this.entry.definition.response.encode(message, scratch);
    } catch (error) {
      this.fail(error);
      this.stopAnswers();
      return false;
    }
    this.sendInitial();
    const length = scratch.pos - MESSAGE_PREFIX_BYTES;
    if (length > this.context.compressAboveBytes && this.stream.head.clientAcceptsGzip) {
      const packed = deflateMessage(scratch.bytes.subarray(MESSAGE_PREFIX_BYTES, scratch.pos));
      scratch.reset();
      scratch.pos = MESSAGE_PREFIX_BYTES;
      scratch.raw(packed);
      writePrefix(scratch.bytes, 0, packed.length, 1);
    } else writePrefix(scratch.bytes, 0, length, 0);
    this.stream.sendMessage(scratch.bytes, scratch.pos);
    return true;
  }

  private sendInitial(): void {
    if (this.headersSent) return;
    this.headersSent = true;
    const gzip = this.context.compressAboveBytes !== Infinity && this.stream.head.clientAcceptsGzip;
    if (this.initialMetadata === undefined && !gzip) return;
    this.stream.sendHeaders([...(gzip ? OK_HEADERS_GZIP : OK_HEADERS), ...metadataFields(this.initialMetadata ?? new Metadata())]);
  }

  private succeed(): void {
    this.sendInitial();
    this.context.stats.callsAnswered++;
    this.stream.endWith(this.trailingMetadata === undefined ? null : [...OK_TRAILERS, ...metadataFields(this.trailingMetadata)]);
  }

  private fail(thrown: unknown): void {
    if (!this.finished) {
      const error = toGrpcError(thrown);
      if (error.code === Status.INTERNAL && error !== thrown) this.context.onDefect(thrown);
      this.context.stats.callsFailed++;
      if (this.initialMetadata !== undefined) this.sendInitial();
      this.stream.endWith(errorTrailers(error, error.metadata ?? this.trailingMetadata));
    }
    this.finish();
  }

  /** The handler is done: the last thing of a call, once. */
  private finish(): void {
    if (this.settled) return;
    this.settled = true;
    this.timer.stop();
    this.finished = true;
    this.requests?.fail(this.abortedBy ?? new GrpcError(Status.CANCELLED, 'The call has been answered.'));
    this.stream.settle();
  }
}

/** Output of one turn after which a streaming handler lets the event loop run. */
const TURN_BYTES_MAX = 65_536;
