import { exchange, unavailable } from '../exchange.js';

export interface KafkaProbe {
  /** Default 2,000. */
  readonly timeoutMs?: number;
  /** The cluster that must be the one that answers: a stranger may have taken the port. */
  readonly clusterId?: string;
}

/**
 * Asks for the metadata of the cluster. A broker answers only after it has joined (its port is open seconds before), and must list
 * itself. Rejects with the reason.
 */
export async function probeKafka(broker: string, { timeoutMs = 2_000, clusterId }: KafkaProbe = {}): Promise<void> {
  const noTopics = int32(0);
  const answer = await exchange(broker, request(METADATA, 2, noTopics), isWhole, { timeoutMs });
  const cluster = parseMetadata(answer);
  if (cluster.brokers === 0) throw unavailable(broker, 'no broker has joined the cluster yet');
  if (clusterId !== undefined && cluster.id !== clusterId)
    throw unavailable(broker, `cluster ${cluster.id} answers, not ours (${clusterId})`);
}

/**
 * Makes a new broker create its offsets topic now, not when the first consumer joins (which otherwise meets COORDINATOR_NOT_AVAILABLE
 * and sleeps). Only a kindness: neither the answer nor its absence matters.
 */
export async function warmGroupCoordinator(broker: string, timeoutMs = 2_000): Promise<void> {
  const group = Buffer.from('headrace-warm-up');
  const forGroup = Buffer.concat([int16(group.length), group, Buffer.from([0])]);
  await exchange(broker, request(FIND_COORDINATOR, 1, forGroup), isWhole, { timeoutMs }).catch(() => undefined);
}

const METADATA = 3;
const FIND_COORDINATOR = 10;
const CORRELATION_ID = 7;

/** Request header v1: size, api key, api version, correlation id, client id (nullable string). */
function request(apiKey: number, apiVersion: number, body: Buffer): Buffer {
  const clientId = Buffer.from('headrace-probe');
  const header = Buffer.concat([int16(apiKey), int16(apiVersion), int32(CORRELATION_ID), int16(clientId.length), clientId]);
  return Buffer.concat([int32(header.length + body.length), header, body]);
}

function isWhole(bytes: Buffer): boolean {
  return bytes.length >= 4 && bytes.length >= 4 + bytes.readInt32BE(0);
}

/**
 * Metadata response v2: size, correlation id, array of brokers (id int32, host string, port int32, rack nullable string), cluster id
 * (nullable string), controller id, topics.
 */
export function parseMetadata(bytes: Buffer): { brokers: number; id: string | null } {
  let at = 8;
  const string = (): string | null => {
    const length = bytes.readInt16BE(at);
    at += 2 + Math.max(length, 0);
    return length < 0 ? null : bytes.toString('utf8', at - length, at);
  };
  const brokers = bytes.readInt32BE(at);
  at += 4;
  for (let broker = 0; broker < brokers; broker++) {
    at += 4;
    string();
    at += 4;
    string();
  }
  return { brokers, id: string() };
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
