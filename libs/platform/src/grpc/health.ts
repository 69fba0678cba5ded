import { AppError } from '@headrace/base/errors';
import {
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthDefinition,
  type HealthCheckResponse,
} from '@headrace/contracts/grpc/health/v1/health';
import { EventEmitter, once } from 'node:events';
import { bindGrpc, type GrpcService } from './definition.js';

/** grpc.health.v1 for the process and each of its services; one switch for all, thrown before the drain begins. */
export class GrpcHealth {
  readonly #names: ReadonlySet<string>;
  readonly #changes = new EventEmitter().setMaxListeners(0);
  #serving = false;

  constructor(serviceNames: readonly string[]) {
    this.#names = new Set(['', ...serviceNames]);
  }

  set(serving: boolean): void {
    if (this.#serving === serving) return;
    this.#serving = serving;
    this.#changes.emit('change');
  }

  service(): GrpcService {
    const { answer, watch } = {
      answer: (name: string) => this.#answer(name),
      watch: (name: string, signal: AbortSignal) => this.#watch(name, signal),
    };
    return bindGrpc(HealthDefinition, {
      check: async ({ service }) => {
        if (!this.#names.has(service)) throw new AppError('NOT_FOUND', `no service ${service} here`);
        return answer(service);
      },
      watch: ({ service }, { signal }) => watch(service, signal),
    });
  }

  async *#watch(name: string, signal: AbortSignal): AsyncIterable<HealthCheckResponse> {
    for (;;) {
      yield this.#answer(name);
      await once(this.#changes, 'change', { signal });
    }
  }

  #answer(name: string): HealthCheckResponse {
    if (!this.#names.has(name)) return { status: ServingStatus.SERVICE_UNKNOWN };
    return { status: this.#serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING };
  }
}
