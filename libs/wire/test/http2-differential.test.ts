import { connect, createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { seededRandom } from '@headrace/base/random';
import { expect, it } from 'vitest';
import { WireClient } from '../src/client.js';
import { RAW_BYTES, unary } from '../src/handler.js';
import { Metadata } from '../src/metadata.js';
import { WireServer } from '../src/server.js';

const PATH = '/test.Headers/Echo';
const EMPTY_MESSAGE = Buffer.alloc(5);

/** Many header lists over one connection, with repeats, so that both dynamic tables fill, turn over and are referred to. */
function headerLists(seed: number): [string, string][][] {
  const random = seededRandom(seed);
  const value = (): string =>
    Array.from({ length: random() * (random() < 0.05 ? 1500 : 30) }, () => String.fromCharCode(33 + random() * 94)).join('');
  const known: [string, string][] = Array.from({ length: 40 }, (_, i) => [`x-known-${i}`, value()]);
  return Array.from({ length: 600 }, () => {
    const list = new Map<string, string>();
    for (let i = random() * 10; i > 0; i--) {
      const [name, text] = known[Math.floor(random() * known.length)]!;
      list.set(name, random() < 0.8 ? text : value());
    }
    return [...list];
  });
}

it("our HPACK decoder reads what Node's nghttp2 encodes, and nghttp2 reads what our encoder writes, over 600 header lists", async () => {
  const server = new WireServer([
    unary({ path: PATH, kind: 'unary', request: RAW_BYTES, response: RAW_BYTES }, (request, call) => {
      const echoed = Metadata.of([...call.metadata].filter(([name]) => name.startsWith('x-')));
      call.setInitialMetadata(echoed);
      return request;
    }),
  ]);
  const { port } = await server.listen({ port: 0 });
  const session = connect(`http://127.0.0.1:${port}`, { settings: { headerTableSize: 1000 } });
  for (const list of headerLists(17)) {
    const answered = await new Promise<Record<string, unknown>>((resolve, reject) => {
      const stream = session.request({ ':method': 'POST', ':path': PATH, 'content-type': 'application/grpc', ...Object.fromEntries(list) });
      let headers: Record<string, unknown> = {};
      stream.on('response', (received) => (headers = received));
      stream.on('trailers', (trailers) => {
        expect(trailers['grpc-status']).toBe('0');
        resolve(headers);
      });
      stream.on('error', reject);
      stream.resume().end(EMPTY_MESSAGE);
    });
    expect(Object.fromEntries(Object.entries(answered).filter(([name]) => name.startsWith('x-')))).toEqual(Object.fromEntries(list));
  }
  session.close();
  await server.drain(1000);
});

it("the same with our client and Node's http2 server, which changes the table size", async () => {
  const server = createServer({ settings: { headerTableSize: 500 } });
  server.on('stream', (stream, headers) => {
    const echoed = Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('x-')));
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...echoed }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.resume().end(EMPTY_MESSAGE);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = new WireClient({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  for (const list of headerLists(18)) {
    let answered: Metadata | undefined;
    await client.unary({ path: PATH, kind: 'unary', request: RAW_BYTES, response: RAW_BYTES }, new Uint8Array(0), {
      metadata: Metadata.of(list),
      onHeaders: (metadata) => (answered = metadata),
    });
    expect(Object.fromEntries([...answered!].filter(([name]) => name.startsWith('x-')))).toEqual(Object.fromEntries(list));
  }
  await client.close();
  server.close();
});
