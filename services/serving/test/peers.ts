import { AppError } from '@headrace/base/errors';
import { FeatureStoreDefinition, type View } from '@headrace/contracts/features/v1/features';
import { Model, RegistryDefinition, Signature, Version, VersionState } from '@headrace/contracts/registry/v1/registry';
import { bindGrpc, startGrpcServer, type Implementation } from '@headrace/platform/grpc/server';
import { Guard } from '@headrace/platform/guard';
import { Log } from '@headrace/platform/log';
import { Telemetry } from '@headrace/platform/telemetry';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Views that the small feature store knows. */
export const VIEWS = {
  person: {
    entity: 'person',
    features: [
      { name: 'a', type: 'float64' },
      { name: 'b', type: 'int64' },
      { name: 'sex', type: 'string' },
    ],
  },
  account: {
    entity: 'person',
    ttl: '1h',
    features: [
      { name: 'c', type: 'float64' },
      { name: 'city', type: 'string' },
    ],
  },
} as const;

export const LOGISTIC_SIGNATURE: Signature = Signature.fromPartial({
  features: [
    { name: 'a', reference: 'person:a', type: 'float64' },
    { name: 'b', reference: 'person:b', type: 'int64' },
    { name: 'c', reference: 'account:c', type: 'float64' },
  ],
  protectedFeatures: [{ name: 'sex', reference: 'person:sex', type: 'string' }],
  entityKeys: ['person_id'],
  threshold: 0.5,
  outputs: ['label', 'probabilities'],
});

/** The fixture's formula; see fixtures/make_models.py. Missing = NaN. */
export function logistic(a: number, b: number, c: number, bias: number): number {
  const clean = (value: number): number => (Number.isNaN(value) ? 0 : value);
  return 1 / (1 + Math.exp(-(0.5 * clean(a) - 0.25 * clean(b) + clean(c) + bias)));
}

const MARKER = Buffer.from(Float32Array.of(0.123456789).buffer);

export function fixture(name: 'logistic' | 'strict' | 'text' | 'value' | 'external'): Buffer {
  return readFileSync(new URL(`./fixtures/${name}.onnx`, import.meta.url));
}

/** The logistic fixture with a bias of its own, so that each version answers differently. */
export function biased(bias: number, name: 'logistic' | 'strict' = 'logistic'): Buffer {
  const bytes = fixture(name);
  bytes.writeFloatLE(bias, bytes.indexOf(MARKER));
  return bytes;
}

export function goldenFor(bias: number): object {
  const rows = [
    [1, 2, 3],
    [-4, 1, 0],
    [0, 9, -1],
  ].map(([a, b, c]) => {
    const probability = logistic(a!, b!, c!, Math.fround(bias));
    return { features: { a, b, c }, label: probability >= 0.5 ? 1 : 0, probability };
  });
  return { rows };
}

export interface NewVersion {
  readonly model: string;
  readonly version: number;
  readonly bytes: Buffer;
  readonly golden: object;
  readonly signature?: Signature;
  readonly state?: VersionState;
  /** Defaults to the hash of the bytes. */
  readonly sha256?: string;
}

/** A registry and a feature store in one process: real gRPC and HTTP doors, answers from memory. */
export class Peers {
  readonly #versions = new Map<string, Version>();
  readonly #champions = new Map<string, number>();
  readonly #specs = new Map<string, Record<string, unknown>>();
  readonly artifacts = new Map<string, Buffer>();
  /** Requests for artefacts so far, by hash. */
  readonly fetched = new Map<string, number>();
  isDown = false;
  /** The feature store alone. */
  isStoreDown = false;
  views: Record<
    string,
    {
      readonly entity: string;
      readonly ttl?: string;
      readonly features: readonly { readonly name: string; readonly type: string; readonly pii?: boolean }[];
    }
  > = { ...VIEWS };
  listedViews = 0;

  constructor(
    readonly grpcAddress: string,
    readonly httpUrl: string,
    readonly close: () => Promise<void>,
  ) {}

  add({
    model,
    version,
    bytes,
    golden,
    signature = LOGISTIC_SIGNATURE,
    state = VersionState.BLESSED,
    sha256 = hashOf(bytes),
  }: NewVersion): string {
    this.artifacts.set(sha256, bytes);
    const message = Version.fromPartial({
      project: 'default',
      model,
      version,
      state,
      artifactSha256: sha256,
      blessing: { blessed: state === VersionState.BLESSED },
    });
    // The deep copy of fromPartial would not take plain Struct objects.
    this.#versions.set(`${model}/${version}`, { ...message, signature, golden: golden as Record<string, unknown> });
    return sha256;
  }

  addLogistic(model: string, version: number, bias: number): string {
    return this.add({ model, version, bytes: biased(bias), golden: goldenFor(bias) });
  }

  setChampion(model: string, version: number): void {
    this.#champions.set(model, version);
  }

  setSpec(model: string, spec: Record<string, unknown>): void {
    this.#specs.set(model, spec);
  }

  registry(): Implementation<typeof RegistryDefinition> {
    const refuse = (): Promise<never> => Promise.reject(new AppError('NOT_FOUND', 'not part of this small registry'));
    return {
      applyModel: refuse,
      registerVersion: refuse,
      listVersions: refuse,
      setAlias: refuse,
      getModel: async ({ model }) => {
        this.#refuseWhenDown();
        return this.#model(model);
      },
      listModels: async () => {
        this.#refuseWhenDown();
        return { models: [...this.#champions.keys()].map((name) => this.#model(name)) };
      },
      getVersion: async ({ model, version }) => {
        this.#refuseWhenDown();
        const found = this.#versions.get(`${model}/${version}`);
        if (!found) throw new AppError('VERSION_UNKNOWN', `no version ${version} of ${model}`);
        return found;
      },
    };
  }

  featureStore(): Implementation<typeof FeatureStoreDefinition> {
    const refuse = (): Promise<never> => Promise.reject(new AppError('NOT_FOUND', 'not part of this small feature store'));
    return {
      apply: refuse,
      publishRows: refuse,
      getOnlineFeatures: refuse,
      buildTrainingSet: refuse,
      getTrainingSet: refuse,
      rebuildOnline: refuse,
      listPersonalFeatures: async ({ references }) => {
        if (this.isDown || this.isStoreDown) throw new AppError('DEPENDENCY_UNAVAILABLE', 'the peer is down');
        return {
          references: references.filter((reference) => {
            const [view, name] = reference.split(':');
            const { features } = this.views[view!] ?? {};
            return features !== undefined && (features.find((one) => one.name === name)?.pii ?? !features.some((one) => one.name === name));
          }),
        };
      },
      listViews: async () => {
        this.#refuseWhenDown();
        this.listedViews++;
        return {
          views: Object.entries(this.views).map(([name, spec]): View => ({
            name,
            version: 1,
            contentHash: '',
            offlineRows: 0,
            spec,
            joinKeys: [],
          })),
        };
      },
    };
  }

  #model(name: string): Model {
    const champion = this.#champions.get(name);
    return { ...Model.fromPartial({ project: 'default', name }), aliases: champion ? { champion } : {}, spec: this.#specs.get(name) ?? {} };
  }

  #refuseWhenDown(): void {
    if (this.isDown) throw new AppError('DEPENDENCY_UNAVAILABLE', 'the peer is down');
  }
}

export async function startPeers(): Promise<Peers> {
  // The doors need the object that answers, and the object needs the doors' addresses.
  const peers = new Peers('', '', () => Promise.resolve());
  const http = createServer((request, response) => {
    const sha256 = new URL(request.url!, 'http://x').pathname.split('/').pop()!;
    const bytes = peers.artifacts.get(sha256);
    peers.fetched.set(sha256, (peers.fetched.get(sha256) ?? 0) + 1);
    if (peers.isDown) response.writeHead(503).end();
    else if (bytes) response.writeHead(200).end(bytes);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const services = [bindGrpc(RegistryDefinition, peers.registry()), bindGrpc(FeatureStoreDefinition, peers.featureStore())];
  const table = Object.fromEntries(services.flatMap((s) => s.methods.map((m) => [m.path, 'public' as const])));
  const telemetry = new Telemetry({ service: 'registry', instance: 'peers', otlpEndpoint: '', sampleRatio: 0 });
  const guard = new Guard({ http: {}, grpc: table, topics: {} }, '');
  const grpc = await startGrpcServer({ host: '127.0.0.1', port: 0, services, guard, telemetry, log: Log.create('registry', 'silent') });
  const close = async (): Promise<void> => {
    await grpc.close(1_000);
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
    await telemetry.close();
  };
  return Object.assign(peers, { grpcAddress: grpc.address, httpUrl: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, close });
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
