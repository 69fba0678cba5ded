import { Injectable } from '@nestjs/common';
import { AppError, messageOf } from '@headrace/base/errors';
import { Log } from '@headrace/platform/log';
import type { OnlineValue } from '../domain/online-vector.js';
import { GetOnlineFeatures } from './get-online-features.js';

/** Reads what callers are given, to be held against the explanation. */
@Injectable()
export class ServedValues {
  constructor(
    private readonly online: GetOnlineFeatures,
    private readonly log: Log,
  ) {}

  async of(project: string, reference: string, entity: Readonly<Record<string, string>>): Promise<OnlineValue | undefined> {
    try {
      const { vectors } = await this.online.get({ project, features: [reference], entities: [entity] });
      return vectors[0]![0];
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'DEPENDENCY_UNAVAILABLE') throw error;
      this.log.warn('the online store cannot be read; a value is explained without it', { error: messageOf(error) });
      return undefined;
    }
  }
}
