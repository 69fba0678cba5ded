import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { parseMetadata, probeKafka } from './probe-kafka.js';

/** Metadata v2 response as Kafka 4.3.1 gave it (one broker, no rack, no topics), with a cluster id of this test. */
function metadata(brokers: 0 | 1): Buffer {
  const clusterId = Buffer.from('oaZrt7KnHd5MRcrDVeAngg');
  const broker = Buffer.concat([int32(1), Buffer.from([0, 9]), Buffer.from('127.0.0.1'), int32(20963), Buffer.from([0xff, 0xff])]);
  const body = Buffer.concat([
    int32(7),
    int32(brokers),
    brokers === 1 ? broker : Buffer.alloc(0),
    Buffer.from([0, 22]),
    clusterId,
    int32(1),
    int32(0),
  ]);
  return Buffer.concat([int32(body.length), body]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** A server that says this to whoever says something, two bytes first. */
async function serverThatSays(answer: Buffer): Promise<{ address: string; close: () => void }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined); // the probe hangs up as soon as it knows enough
    socket.once('data', () => {
      socket.write(answer.subarray(0, 2));
      setTimeout(() => socket.write(answer.subarray(2)), 5);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}

it('reads how many brokers there are, and of which cluster', () => {
  expect(parseMetadata(metadata(1))).toEqual({ brokers: 1, id: 'oaZrt7KnHd5MRcrDVeAngg' });
  expect(parseMetadata(metadata(0))).toEqual({ brokers: 0, id: 'oaZrt7KnHd5MRcrDVeAngg' });
});

it('takes a broker for ready that lists itself, and only when it is of the wanted cluster', async () => {
  const server = await serverThatSays(metadata(1));
  await probeKafka(server.address);
  await probeKafka(server.address, { clusterId: 'oaZrt7KnHd5MRcrDVeAngg' });
  await expect(probeKafka(server.address, { clusterId: 'another' })).rejects.toThrow(
    'cluster oaZrt7KnHd5MRcrDVeAngg answers, not ours (another)',
  );
  server.close();
});

it('waits on while no broker has joined, nobody answers in time, or nobody listens', async () => {
  const alone = await serverThatSays(metadata(0));
  await expect(probeKafka(alone.address)).rejects.toThrow('no broker has joined');
  alone.close();
  const silent = await serverThatSays(Buffer.alloc(0));
  await expect(probeKafka(silent.address, { timeoutMs: 30 })).rejects.toThrow('no answer within 30 ms');
  silent.close();
  await expect(probeKafka(silent.address)).rejects.toThrow(/ECONNREFUSED/);
});
