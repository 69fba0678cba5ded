import type { ModelChanged } from '@headrace/contracts/events/v1/events';
import type { Cause } from '@headrace/platform/kafka/cause';
import { Postgres, type Tx } from '@headrace/platform/postgres/postgres';
import { Injectable } from '@nestjs/common';
import { TRAFFIC_ALIASES } from '../domain/aliases.js';
import { modelUnknown, notBlessed, versionUnknown } from '../errors.js';
import { readAlias, writeAlias } from '../io/aliases.js';
import { writeAudit } from '../io/audit.js';
import { lockModel } from '../io/models.js';
import { readVersion, type VersionRow } from '../io/versions.js';
import { Announcer } from './announce.js';
import { stepVersion } from './version-steps.js';

export interface AliasRequest {
  readonly project: string;
  readonly model: string;
  readonly alias: string;
  readonly version: number;
  readonly reason: string;
  readonly actor: string;
  readonly cause?: Cause;
}

/** Moves an alias. A traffic alias (champion, canary, shadow) takes blessed versions only and moves their states along. */
@Injectable()
export class SetAlias {
  constructor(
    private readonly postgres: Postgres,
    private readonly announcer: Announcer,
  ) {}

  /** @throws AppError MODEL_UNKNOWN | VERSION_UNKNOWN | VERSION_NOT_BLESSED | VERSION_STATE_ILLEGAL */
  set(request: AliasRequest): Promise<VersionRow> {
    return this.postgres.transaction(async (tx) => {
      if (!(await lockModel(tx, request.project, request.model))) throw modelUnknown(request.project, request.model);
      await this.setLocked(tx, request);
      return (await readVersion(tx, request.project, request.model, request.version))!;
    });
  }

  /** For a caller that holds the model's lock already. Setting an alias where it stands changes nothing. */
  async setLocked(tx: Tx, request: AliasRequest): Promise<void> {
    const { project, model, alias, version, reason, actor } = request;
    const row = await readVersion(tx, project, model, version);
    if (!row) throw versionUnknown(model, String(version));
    const traffic = TRAFFIC_ALIASES.get(alias);
    if (traffic && row.blessed !== true) throw notBlessed(model, version, row.state, row.gates ?? []);
    const previousVersion = await readAlias(tx, project, model, alias);
    if (previousVersion === version) return;

    const changes: NonNullable<ModelChanged['change']>[] = [{ $case: 'aliasSet', value: { alias, previousVersion, reason } }];
    if (traffic) {
      const previous = previousVersion ? await readVersion(tx, project, model, previousVersion) : undefined;
      // The one before steps back first: the database itself refuses two champions.
      if (previous?.state === traffic.state) {
        const left = await stepVersion(tx, previous, previous.state, traffic.leave, actor);
        if (left === 'archived')
          await this.announcer.announce(
            tx,
            previous,
            [{ $case: 'archived', value: { reason: `version ${version} took the alias ${alias}` } }],
            request.cause,
          );
      }
      await stepVersion(tx, row, row.state, traffic.enter, actor);
    }
    await writeAlias(tx, { project, model, alias, previousVersion, version, reason, actor });
    await writeAudit(tx, {
      project,
      actor,
      action: 'set-alias',
      subject: model,
      before: { alias, version: previousVersion },
      after: { alias, version, reason },
    });
    await this.announcer.announce(tx, row, changes, request.cause);
  }
}
