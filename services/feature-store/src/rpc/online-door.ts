import { FeatureStoreDefinition, GetOnlineFeaturesRequest, GetOnlineFeaturesResponse } from '@headrace/contracts/features/v1/features';
import { AppError, toAppError } from '@headrace/base/errors';
import type { GrpcMethod, GrpcService } from '@headrace/platform/grpc/server';
import type { HotReplies, HotUnaryHandler, ReplyHandle } from '@headrace/wire/handler';
import type { OnlineReads, OnlineReplies } from '../app/online-reads.js';
import type { FeatureStoreRpc } from './feature-store-rpc.js';

/** GetOnlineFeatures over libs/wire goes from bytes to bytes, all calls of a turn in one round trip to Redis; over grpc-js as any method. */
export function withHotOnlineReads(service: GrpcService, reads: OnlineReads, rpc: FeatureStoreRpc): GrpcService {
  const path = `/${FeatureStoreDefinition.fullName}/${FeatureStoreDefinition.methods.getOnlineFeatures.name}`;
  const hot: GrpcMethod['hot'] = (replies, refuse) => new HotOnlineReads(reads, rpc, replies, refuse);
  return { ...service, methods: service.methods.map((method) => (method.path === path ? { ...method, hot } : method)) };
}

class HotOnlineReads implements HotUnaryHandler, OnlineReplies {
  /** Requests under way, for those that turn out to need the general way. */
  readonly #requests = new Map<ReplyHandle, Buffer>();

  constructor(
    private readonly reads: OnlineReads,
    private readonly rpc: FeatureStoreRpc,
    private readonly replies: HotReplies,
    private readonly refuse: (reply: ReplyHandle, error: AppError) => void,
  ) {}

  onMessage(bytes: Uint8Array, start: number, end: number, reply: ReplyHandle): void {
    const request = Buffer.from(bytes.subarray(start, end));
    this.#requests.set(reply, request);
    if (!this.reads.submit(request, 0, request.length, reply)) this.general(reply);
  }

  onTick(): void {
    this.reads.tick(this);
  }

  ok(reply: ReplyHandle, bytes: Uint8Array, start: number, end: number): void {
    this.#requests.delete(reply);
    this.replies.ok(reply, bytes, start, end);
  }

  isGone(reply: ReplyHandle): boolean {
    return this.replies.isGone(reply);
  }

  general(reply: ReplyHandle): void {
    const request = this.#requests.get(reply)!;
    this.#requests.delete(reply);
    this.#answer(request).then(
      (bytes) => this.replies.ok(reply, bytes, 0, bytes.length),
      (error: unknown) => this.refuse(reply, toAppError(error)),
    );
  }

  async #answer(request: Buffer): Promise<Uint8Array> {
    return GetOnlineFeaturesResponse.encode(await this.rpc.getOnlineFeatures(read(request))).finish();
  }
}

function read(request: Buffer): GetOnlineFeaturesRequest {
  try {
    return GetOnlineFeaturesRequest.decode(request);
  } catch (error) {
    throw new AppError('REQUEST_INVALID', 'GetOnlineFeatures: the request is not a valid message', { cause: error });
  }
}
