/**
 * One server of the comparison: `node server.ts wire|grpc-js|wire-tls`. Each call brings one row of 30 floats; the handler reads the rows of a turn
 * straight into one matrix and answers each with its sum, so that all is there but the model. Prints its port.
 */
import { readFileSync } from 'node:fs';
import { ProtoReader } from '@headrace/codec/reader';
import type { ProtoWriter } from '@headrace/codec/writer';
import { GrpcJsServer } from '@headrace/wire/grpc-js-transport';
import { hotUnary } from '@headrace/wire/handler';
import type { HotReplies, HotUnaryHandler } from '@headrace/wire/handler';
import { WireServer } from '@headrace/wire/server';

const FEATURES = 30;
const ROWS_MAX = 4096;

/** bench.PredictRequest { string model = 1; repeated float features = 2; uint32 rows = 3 }, bench.PredictResponse { repeated float scores = 1; string model_version = 2 } */
class SumOfRow implements HotUnaryHandler {
  readonly #replies: HotReplies;
  readonly #reader = new ProtoReader();
  readonly #matrix = new Float32Array(ROWS_MAX * FEATURES);
  readonly #handles = new Int32Array(ROWS_MAX);
  readonly #scores = new Float32Array(ROWS_MAX);
  readonly #encode: (row: number, writer: ProtoWriter) => void;
  #rows = 0;

  constructor(replies: HotReplies) {
    this.#replies = replies;
    this.#encode = (row, writer) => {
      writer.tag(1, 2);
      writer.packedFloats(this.#scores, row, 1);
      writer.tag(2, 2);
      writer.string('7');
    };
  }

  onMessage(bytes: Uint8Array, start: number, end: number, reply: number): void {
    if (this.#rows === ROWS_MAX) this.onTick();
    const reader = this.#reader.reset(bytes, start, end);
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === 0x12) reader.packedFloats(this.#matrix, this.#rows * FEATURES, FEATURES);
      else reader.skip(tag);
    }
    this.#handles[this.#rows++] = reply;
  }

  onTick(): void {
    const rows = this.#rows;
    this.#rows = 0;
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      for (let i = row * FEATURES; i < (row + 1) * FEATURES; i++) sum += this.#matrix[i]!;
      this.#scores[row] = sum;
    }
    for (let row = 0; row < rows; row++) this.#replies.okWith(this.#handles[row]!, this.#encode, row);
  }
}

const [transport, certificate, privateKey] = process.argv.slice(2);
const table = [hotUnary('/bench.Predictor/Predict', (replies) => new SumOfRow(replies))];
const tls = transport === 'wire-tls' ? { tls: { cert: readFileSync(certificate!), key: readFileSync(privateKey!) } } : {};
const server = transport === 'grpc-js' ? new GrpcJsServer(table) : new WireServer(table, tls);
const { port } = await server.listen({ port: 0 });
console.info(port);
if (transport !== 'grpc-js') {
  // Heap growth is asked for by the runner: one line per signal.
  process.on('SIGUSR2', () => console.info(JSON.stringify({ heapUsed: heapInUse(), stats: (server as WireServer).stats })));
}

/** After a full collection, when the runner started us with `--expose-gc`. */
function heapInUse(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}
