import { Injectable } from '@nestjs/common';
import { messageOf } from '@headrace/base/errors';
import { Log } from '@headrace/platform/log';
import type { ModelUse } from '../domain/definition-users.js';
import { ModelUses } from '../io/model-uses.js';
import { SampleValues } from '../io/sample-values.js';
import { UsageStore, type Usage } from '../io/usage-store.js';
import { FeatureUsage } from './feature-usage.js';

/** What the catalogue tells beside the definitions. */
@Injectable()
export class FeatureFacts {
  constructor(
    private readonly modelUses: ModelUses,
    private readonly usages: UsageStore,
    private readonly counted: FeatureUsage,
    private readonly values: SampleValues,
    private readonly log: Log,
  ) {}

  /** Undefined = the registry does not answer; the catalogue goes on without it. */
  async models(project: string): Promise<ModelUse[] | undefined> {
    try {
      return await this.modelUses.of(project);
    } catch (error) {
      this.log.warn('the registry cannot be asked which models read features; the catalogue names none', { error: messageOf(error) });
      return undefined;
    }
  }

  async usage(project: string): Promise<Map<string, Usage>> {
    await this.counted.storeNow();
    return this.usages.ofProject(project);
  }

  samples(...asked: Parameters<SampleValues['of']>): Promise<string[]> {
    return this.values.of(...asked);
  }
}
