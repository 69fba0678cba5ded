import type { ProtoWriter } from '@headrace/codec/writer';
import { CallTimer } from './call-timer.js';
import type { CallContext, MethodEntry } from './handler.js';
import { MessageQueue } from './message-queue.js';
import { Metadata } from './metadata.js';
import { Pacing } from './pacing.js';
import { errorTrailers, metadataFields, OK_HEADERS, OK_HEADERS_GZIP, OK_TRAILERS } from './response-fields.js';
import type { Method, ServerContext } from './server-context.js';
import type { ServerStream } from './server-stream.js';
import { GrpcError, Status, toGrpcError } from './status.js';

type OrdinaryEntry = Exclude<MethodEntry, { kind: 'hot' }>;

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
  private readonly pacing: Pacing;
  private readonly encode: (message: unknown, writer: ProtoWriter) => void;
  private readonly isOver = (): boolean => this.finished;

  constructor(
    private readonly stream: ServerStream,
    method: Method,
    private readonly context: ServerContext,
  ) {
    this.entry = method.entry as OrdinaryEntry;
    this.deadlineMs = stream.deadlineMs;
    this.timer = new CallTimer(() => this.onDeadline());
    this.pacing = new Pacing(stream.connection.session, stream.sender, context.limits);
    const { response } = this.entry.definition;
    this.encode = (message, writer) => response.encode(message, writer);
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
    if (!this.stream.onBuffered(end - start))
      return this.stream.onInboxError(
        new GrpcError(Status.RESOURCE_EXHAUSTED, 'Too many unread messages on this connection or server; retry later.'),
      );
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
    this.pacing.wake();
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
      const plain = this.initialMetadata === undefined && this.trailingMetadata === undefined && !this.gzip;
      if (plain) this.stream.answerOk(this.encode, response);
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
      await this.pacing.room(this.isOver);
    }
  }

  /** False when the message could not be encoded; the call has failed then. */
  private send(message: unknown): boolean {
    this.sendInitial();
    try {
      this.stream.sendMessage(this.encode, message, this.gzip);
    } catch (error) {
      this.fail(error);
      this.stopAnswers();
      return false;
    }
    return true;
  }

  private get gzip(): boolean {
    return this.context.compressAnswers && this.stream.head.clientAcceptsGzip;
  }

  private sendInitial(): void {
    if (this.headersSent) return;
    this.headersSent = true;
    if (this.initialMetadata === undefined && !this.gzip) return;
    this.stream.sendHeaders([...(this.gzip ? OK_HEADERS_GZIP : OK_HEADERS), ...metadataFields(this.initialMetadata ?? new Metadata())]);
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
