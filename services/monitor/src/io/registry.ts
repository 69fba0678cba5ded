import { AppError, ERROR_CODES } from '@headrace/base/errors';
import { RegistryDefinition, type Model, type Version } from '@headrace/contracts/registry/v1/registry';
import { createClient, type Client, type ClientOptions } from '@headrace/platform/grpc/client';

/** Short: consumers wait for it. */
const TIMEOUT_MS = 3_000;

/** The registry as the monitor needs it: `undefined` means that it has no such thing; an outage is thrown. */
export class RegistryClient {
  readonly #client: Client<typeof RegistryDefinition>;

  constructor(address: string, options: Pick<ClientOptions<typeof RegistryDefinition>, 'apiKey' | 'tls'>) {
    this.#client = createClient(RegistryDefinition, address, { ...options, defaultTimeoutMs: TIMEOUT_MS });
  }

  model(project: string, model: string): Promise<Model | undefined> {
    return orUndefined(this.#client.getModel({ project, model }));
  }

  version(project: string, model: string, version: number): Promise<Version | undefined> {
    return orUndefined(this.#client.getVersion({ project, model, version }));
  }

  close(): Promise<void> {
    this.#client.close();
    return Promise.resolve();
  }
}

async function orUndefined<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof AppError && ERROR_CODES[error.code].kind === 'NOT_FOUND') return undefined;
    // A registry that is slow or broken is an outage for us: whatever needed it must wait, never be thrown away.
    throw new AppError(
      'DEPENDENCY_UNAVAILABLE',
      `the registry could not answer: ${error instanceof Error ? error.message : String(error)}`,
      { details: { dependency: 'registry' }, cause: error },
    );
  }
}
