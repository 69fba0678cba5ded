/**
 * Every bound of the transport, in one table: its default, its unit, and what would go wrong without it. A server or client takes
 * overrides of single values; nothing in this library waits, grows or repeats outside these.
 */
export const LIMITS = {
  connectionsMax: { default: 10_000, unit: 'connections', why: 'file descriptors and buffers of one process' },
  streamsMax: {
    default: 1000,
    unit: 'streams of a connection',
    why: 'SETTINGS_MAX_CONCURRENT_STREAMS; bounds the calls that one peer can hold open',
  },
  headerListBytesMax: {
    default: 16_384,
    unit: 'bytes',
    why: 'decoded metadata of a call; a small block can name large entries many times',
  },
  headerBlockBytesMax: { default: 32_768, unit: 'bytes', why: 'coded metadata over HEADERS and CONTINUATION frames, which may never end' },
  messageBytesMax: { default: 4_194_304, unit: 'bytes', why: 'one message, also after decompression: a gzip bomb stops here' },
  connectionBufferBytesMax: { default: 33_554_432, unit: 'bytes', why: 'unfinished and unread messages of one connection together' },
  serverBufferBytesMax: { default: 268_435_456, unit: 'bytes', why: 'the same over all connections of a server' },
  streamWindowBytes: { default: 262_144, unit: 'bytes', why: 'what a peer may send on a stream ahead of its reader' },
  connectionWindowBytes: { default: 8_388_608, unit: 'bytes', why: 'what a peer may send on all streams before we saw any of it' },
  outputBytesMax: { default: 1_048_576, unit: 'bytes', why: 'answers that the peer does not take; beyond it we stop reading its requests' },
  streamOutputBytesMax: {
    default: 262_144,
    unit: 'bytes',
    why: 'messages of one stream that wait for its window; beyond it a streaming handler waits',
  },
  streamQueueMessages: {
    default: 64,
    unit: 'messages',
    why: 'received messages that wait for a streaming handler before its window stays closed',
  },
  inflationsMax: { default: 64, unit: 'messages', why: 'gzip messages of a server in decompression at once; more are refused' },
  handshakeMs: {
    default: 10_000,
    unit: 'ms',
    why: 'a peer that connects and never finishes its preface (slowloris), or never acknowledges SETTINGS',
  },
  halfSentMs: { default: 20_000, unit: 'ms', why: 'a frame, header block or unary request that was begun and makes no end' },
  outputStallMs: { default: 20_000, unit: 'ms', why: 'a peer that takes no byte of what is ready for it' },
  keepaliveMs: { default: 60_000, unit: 'ms', why: 'silence after which we ask by PING whether the peer is still there' },
  keepaliveTimeoutMs: { default: 20_000, unit: 'ms', why: 'an unanswered PING: the peer or the path is dead' },
  connectionIdleMs: { default: 0, unit: 'ms, 0 = never', why: 'connections without calls that nobody closes' },
  connectionAgeMs: { default: 0, unit: 'ms, 0 = never', why: 'clients resolve addresses only when they connect; +-10 % jitter' },
  drainMs: { default: 30_000, unit: 'ms', why: 'calls that never end must not stop a shutdown' },
  resetBurst: {
    default: 1000,
    unit: 'RST_STREAM frames',
    why: 'rapid reset (CVE-2023-44487): calls that cost us work and the peer nothing',
  },
  resetsPerSecond: { default: 100, unit: 'frames a second', why: 'refill of that budget; each answered call gives one more' },
  controlBurst: {
    default: 2000,
    unit: 'frames',
    why: 'PING, SETTINGS, PRIORITY, unknown and empty frames, each of which costs us an answer or a look, and streams that were refused',
  },
  controlPerSecond: {
    default: 500,
    unit: 'frames a second',
    why: 'refill of that budget; each answered call gives four more (clients probe bandwidth by PING)',
  },
  pingBurst: {
    default: 250,
    unit: 'PING and SETTINGS frames',
    why: 'each makes us write an answer; a chunk holds thousands, and other callers wait while they are read',
  },
  pingsPerSecond: { default: 100, unit: 'frames a second', why: 'refill of that budget; each answered call gives four more' },
  floodHoldMs: {
    default: 1000,
    unit: 'ms, 0 = never',
    why: 'a peer that was cut for a flood (a budget or the bound of header blocks) and begins anew at once: the old connection stays unread and open so long, a new one from its address is first read behind it',
  },
  windowUpdateBurst: { default: 20_000, unit: 'frames', why: 'WINDOW_UPDATE in single bytes' },
  windowUpdatesPerSecond: { default: 5000, unit: 'frames a second', why: 'refill of that budget; each sent DATA frame gives ten more' },
  connectMs: { default: 10_000, unit: 'ms', why: 'a client whose server does not answer: TCP, TLS and SETTINGS together' },
  backoffMinMs: { default: 100, unit: 'ms', why: 'wait of a client behind its first failure to connect; it doubles, +-20 %' },
  backoffMaxMs: { default: 10_000, unit: 'ms', why: 'the longest such wait' },
  clientQueueMax: { default: 10_000, unit: 'calls', why: 'calls of a client that wait for a connection or for room on it' },
} as const;

export type LimitName = keyof typeof LIMITS;
export type Limits = { readonly [Name in LimitName]: number };

export const DEFAULT_LIMITS: Limits = Object.freeze(
  Object.fromEntries(Object.entries(LIMITS).map(([name, limit]) => [name, limit.default])) as Limits,
);

export function limitsWith(overrides: Partial<Limits> = {}): Limits {
  return Object.freeze({ ...DEFAULT_LIMITS, ...overrides });
}
