import { bidi, clientStream, hotUnary, RAW_BYTES, serverStream, unary } from '../src/handler.js';
import type { HotReplies, HotUnaryHandler, MethodKind, ServiceTable } from '../src/handler.js';
import { Metadata } from '../src/metadata.js';
import { GrpcError, Status } from '../src/status.js';

/** What the handlers of the test service saw, for the tests to look at. */
export interface Seen {
  aborts: string[];
  ticks: number;
  batches: number[];
}

/** One service with every kind of method and every way to end, used over our server and over grpc-js alike. */
export function testService(seen: Seen): ServiceTable {
  const method = (name: string, kind: MethodKind) => ({ path: `/test.Echo/${name}`, kind, request: RAW_BYTES, response: RAW_BYTES });
  return [
    hotUnary('/test.Echo/Hot', (replies) => new HotEcho(replies, seen)),
    unary(method('Unary', 'unary'), (request) => request),
    unary(method('Later', 'unary'), async (request) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return request;
    }),
    unary(method('Metadata', 'unary'), (request, call) => {
      const echoed = Metadata.of([...call.metadata].filter(([name]) => name.startsWith('x-')));
      call.setInitialMetadata(echoed);
      call.setTrailingMetadata(
        Metadata.of([
          ['x-trailer', 'end'],
          ['x-deadline', String(Math.round(call.deadlineMs - Date.now()))],
        ]),
      );
      return request;
    }),
    unary(method('Fail', 'unary'), () => {
      throw new GrpcError(Status.FAILED_PRECONDITION, 'not now: é, 100 %', {
        details: Uint8Array.from([8, 9, 18, 1, 120]),
        metadata: Metadata.of([['x-why', 'because']]),
      });
    }),
    unary(
      method('Hang', 'unary'),
      (_, call) =>
        new Promise((__, reject) => {
          call.signal.addEventListener('abort', () => {
            seen.aborts.push((call.signal.reason as Error).message);
            reject(call.signal.reason as Error);
          });
        }),
    ),
    serverStream(method('Repeat', 'server-stream'), async function* (request: Uint8Array, call) {
      const [times, size] = [
        new DataView(request.buffer, request.byteOffset).getUint32(0),
        request.length > 4 ? new DataView(request.buffer, request.byteOffset).getUint32(4) : 4,
      ];
      try {
        for (let i = 0; i < times; i++) {
          if (call.signal.aborted) return;
          const answer = Buffer.alloc(size, i & 0xff);
          answer.writeUInt32BE(i);
          yield answer;
        }
      } finally {
        if (call.signal.aborted) seen.aborts.push('repeat');
      }
    }),
    clientStream(method('Sum', 'client-stream'), async (requests) => {
      let sum = 0;
      for await (const request of requests) sum += request.length;
      return Buffer.from(String(sum));
    }),
    bidi(method('Chat', 'bidi'), async function* (requests: AsyncIterable<Uint8Array>) {
      for await (const request of requests) {
        if (Buffer.from(request).toString() === 'stop') throw new GrpcError(Status.ABORTED, 'stopped');
        yield request;
      }
    }),
  ];
}

class HotEcho implements HotUnaryHandler {
  private readonly waiting: { reply: number; bytes: Buffer }[] = [];

  constructor(
    private readonly replies: HotReplies,
    private readonly seen: Seen,
  ) {}

  onMessage(bytes: Uint8Array, start: number, end: number, reply: number): void {
    this.waiting.push({ reply, bytes: Buffer.from(bytes.subarray(start, end)) });
  }

  onTick(): void {
    this.seen.ticks++;
    this.seen.batches.push(this.waiting.length);
    for (const { reply, bytes } of this.waiting.splice(0)) {
      if (bytes.toString() === 'fail') this.replies.fail(reply, Status.NOT_FOUND, 'no such thing', Uint8Array.from([1, 2]));
      else if (bytes.toString() === 'headers') {
        const answer = Buffer.from(
          `${this.replies.headerOf(reply, 'x-one') ?? 'none'} ${this.replies.metadataOf(reply).text('x-two') ?? 'none'} ${this.replies.isGone(reply)}`,
        );
        this.replies.ok(reply, answer, 0, answer.length);
      } else if (bytes.toString() === 'later') setTimeout(() => this.replies.ok(reply, bytes, 0, bytes.length), 20);
      else this.replies.okWith(reply, (value, writer) => writer.raw(value), bytes);
    }
  }
}

/** For `Repeat`: how many messages of which size. */
export function repeatRequest(times: number, size: number): Buffer {
  const request = Buffer.alloc(8);
  request.writeUInt32BE(times);
  request.writeUInt32BE(size, 4);
  return request;
}

/** Tries until it passes, for 2 s. */
export async function eventually(check: () => void): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return check();
    } catch (error) {
      if (attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
