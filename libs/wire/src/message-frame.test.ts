import { seededRandom } from '@headrace/base/random';
import { ProtoWriter } from '@headrace/codec/writer';
import { describe, expect, it } from 'vitest';
import { FrameType, readUint32 } from './frames.js';
import { MESSAGE_PREFIX_BYTES, sendEncoded } from './message-frame.js';
import type { Session } from './session.js';
import { BlockedSenders, StreamSender } from './stream-sender.js';

const FRAME_BYTES_MAX = 16_384;

function encode(message: Uint8Array, streamWindow: number, endStream: boolean) {
  const out = new ProtoWriter(64);
  out.raw(Buffer.from('what stands before'));
  const before = out.pos;
  const peer = { initialWindow: streamWindow, frameBytesMax: FRAME_BYTES_MAX };
  const session = { out: () => out, peer, sendWindow: 1_000_000, windowUpdates: { earn: () => undefined } };
  const sender = new StreamSender({ onDrained: () => undefined });
  sender.open(session as unknown as Session, new BlockedSenders(), 7);
  const carriedEnd = sendEncoded(
    session as unknown as Session,
    sender,
    (bytes: Uint8Array, writer) => writer.raw(bytes),
    message,
    endStream,
    false,
  );
  return { carriedEnd, sent: Buffer.from(out.bytes.subarray(before, out.pos)), left: [sender.sendWindow, session.sendWindow], sender };
}

function framesOf(sent: Buffer): { flags: number; payload: Buffer }[] {
  const frames: { flags: number; payload: Buffer }[] = [];
  for (let at = 0; at < sent.length;) {
    const length = sent.readUIntBE(at, 3);
    expect(sent[at + 3]).toBe(FrameType.DATA);
    expect(readUint32(sent, at + 5)).toBe(7);
    frames.push({ flags: sent[at + 4]!, payload: sent.subarray(at + 9, at + 9 + length) });
    at += 9 + length;
  }
  return frames;
}

describe('a message', () => {
  it('of any size arrives whole in frames of the size that the peer takes, and only the last one ends the stream', () => {
    const random = seededRandom(2);
    const sizes = [0, 1, ...[1, 2, 3, 8].flatMap((n) => [-6, -5, -4, 0, 1].map((more) => n * FRAME_BYTES_MAX + more))];
    for (const size of sizes) {
      const message = Uint8Array.from({ length: size }, () => Math.floor(random() * 256));
      const { carriedEnd, sent, left } = encode(message, 500_000, true);
      const frames = framesOf(sent);
      const whole = Buffer.concat(frames.map(({ payload }) => payload));
      expect(carriedEnd).toBe(true);
      expect(whole.readUInt32BE(1)).toBe(size);
      expect(whole.subarray(MESSAGE_PREFIX_BYTES).equals(message)).toBe(true);
      expect(frames.map(({ flags }) => flags)).toEqual(frames.map((_, i) => (i === frames.length - 1 ? 1 : 0)));
      expect(frames.slice(0, -1).every(({ payload }) => payload.length === FRAME_BYTES_MAX)).toBe(true);
      expect(left).toEqual([500_000 - whole.length, 1_000_000 - whole.length]);
    }
  });

  it('that is larger than the window waits for it, and the rest of it follows', () => {
    const message = Uint8Array.from({ length: 50_000 }, (_, i) => i);
    const { carriedEnd, sent, sender } = encode(message, 20_000, true);
    expect(carriedEnd).toBe(false);
    expect(framesOf(sent).reduce((sum, { payload }) => sum + payload.length, 0)).toBe(20_000);
    expect(sender.queuedBytes).toBe(50_000 + MESSAGE_PREFIX_BYTES - 20_000);
  });
});
