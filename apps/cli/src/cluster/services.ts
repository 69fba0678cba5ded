import { peerAddress } from '@headrace/base/peer-address';
import { LOW_LATENCY_NODE_OPTIONS } from '@headrace/platform/processes/node-options';
import { fileURLToPath } from 'node:url';

/** A process of the cluster. Doors are offsets from the port base; a worker has none. */
export interface ServiceSpec {
  readonly name: string;
  readonly entry: string;
  readonly nodeOptions?: readonly string[];
  readonly httpOffset?: number;
  readonly database?: string;
}

const entryOf = (service: string, file: string): string =>
  fileURLToPath(new URL(`../../../../services/${service}/dist/${file}.js`, import.meta.url));

/** In the order of start; the worker comes last because it talks to the others. */
export const SERVICES: readonly ServiceSpec[] = [
  { name: 'feature-store', entry: entryOf('feature-store', 'main'), httpOffset: 10, database: 'headrace_features' },
  { name: 'registry', entry: entryOf('registry', 'main'), httpOffset: 20, database: 'headrace_registry' },
  { name: 'trainer', entry: entryOf('trainer', 'main'), httpOffset: 30, database: 'headrace_trainer' },
  { name: 'serving', entry: entryOf('serving', 'main'), nodeOptions: LOW_LATENCY_NODE_OPTIONS, httpOffset: 40 },
  { name: 'monitor', entry: entryOf('monitor', 'main'), httpOffset: 50, database: 'headrace_monitor' },
  { name: 'trainer-worker', entry: entryOf('trainer', 'worker'), database: 'headrace_trainer' },
];

export interface Doors {
  /** `host:port`, or `https://host:port` with TLS. */
  readonly grpc: string;
  readonly http: string;
}

export type Endpoints = Readonly<Record<'feature-store' | 'registry' | 'trainer' | 'serving' | 'monitor', Doors>>;

/** HTTP on base + offset, gRPC one above. @param pick gives the port to use for a wanted one (itself, or a free one). @param isTls the doors speak TLS. */
export async function assignDoors(base: number, isTls: boolean, pick: (wanted: number) => Promise<number>): Promise<Endpoints> {
  const doors: Record<string, Doors> = {};
  for (const { name, httpOffset } of SERVICES) {
    if (httpOffset === undefined) continue;
    const http = await pick(base === 0 ? 0 : base + httpOffset);
    const grpc = await pick(base === 0 ? 0 : base + httpOffset + 1);
    doors[name] = { http: `${isTls ? 'https' : 'http'}://127.0.0.1:${http}`, grpc: peerAddress(`127.0.0.1:${grpc}`, isTls) };
  }
  return doors as unknown as Endpoints;
}
