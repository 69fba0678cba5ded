import { Injectable } from '@nestjs/common';
import { AppError, messageOf } from '@headrace/base/errors';
import { NAME_PATTERN } from '@headrace/base/ids';
import { parseDefinition, type Definition } from '@headrace/definitions/definition';
import { Log } from '@headrace/platform/log';
import { Postgres, type Tx } from '@headrace/platform/postgres/postgres';
import { planDefinitions, takenAway, type PlannedChange, type StoredDefinition } from '../domain/definition-plan.js';
import type { ModelUse } from '../domain/definition-users.js';
import { partitionMonthsFor } from '../domain/retention.js';
import { requestInvalid } from '../errors.js';
import { DefinitionStore } from '../io/definition-store.js';
import { ModelUses } from '../io/model-uses.js';
import { addColumns, createRowTable } from '../io/row-tables.js';
import { OnlineRebuilds } from './rebuild-online.js';

export interface ApplyOptions {
  readonly project: string;
  /** Says what would change, and changes nothing. */
  readonly dryRun: boolean;
  /** Features may be taken away from services and models that read them. */
  readonly allowBreaking: boolean;
}

/** Definitions in, all or none. A change that stored rows could not follow is refused with DEFINITION_CONFLICT. */
@Injectable()
export class ApplyDefinitions {
  constructor(
    private readonly postgres: Postgres,
    private readonly definitions: DefinitionStore,
    private readonly models: ModelUses,
    private readonly rebuilds: OnlineRebuilds,
    private readonly log: Log,
  ) {}

  /** @returns one change for each document, in its order. */
  async apply(documents: readonly unknown[], { project, dryRun, allowBreaking }: ApplyOptions): Promise<PlannedChange[]> {
    if (!NAME_PATTERN.test(project)) throw requestInvalid(`project ${JSON.stringify(project)} must match ${NAME_PATTERN.source}`);
    if (documents.length === 0) throw requestInvalid('there are no definitions to apply');
    const wanted = documents.map((document, i) => ofOurs(parseDefinition(document, `definition ${i + 1}`)));
    const models = await this.#modelsFor(wanted, project, { dryRun, allowBreaking });
    const changes = await this.postgres.transaction(async (tx) => {
      await this.definitions.lock(tx);
      const planned = planDefinitions(await this.definitions.newest(tx, project), wanted, { models, allowBreaking });
      if (!dryRun) await this.#carryOut(tx, project, planned);
      return planned;
    });
    if (!dryRun) this.#announce(project, changes);
    return wanted.map((definition) => changes.find((change) => change.definition === definition)!);
  }

  /** Asked only when features are taken away, or to tell in a plan who is affected; then a registry that is away stops nothing but a removal. */
  async #modelsFor(
    wanted: readonly StoredDefinition[],
    project: string,
    { dryRun, allowBreaking }: Pick<ApplyOptions, 'dryRun' | 'allowBreaking'>,
  ): Promise<readonly ModelUse[]> {
    const stored = await this.postgres.transaction((tx) => this.definitions.newest(tx, project), { readOnly: true });
    const isRemoval = takenAway(stored, wanted).length > 0 && !allowBreaking;
    if (!isRemoval && !dryRun) return [];
    try {
      return await this.models.of(project);
    } catch (error) {
      if (isRemoval)
        throw new AppError(
          'DEPENDENCY_UNAVAILABLE',
          `features would be removed, and the registry cannot be asked which models read them: ${messageOf(error)}; try again when it is there, or allow the break`,
          { cause: error },
        );
      this.log.warn('the registry cannot be asked for models; the plan names none', { error: messageOf(error) });
      return [];
    }
  }

  async #carryOut(tx: Tx, project: string, changes: readonly PlannedChange[]): Promise<void> {
    const real = changes.filter((change) => change.change !== 'unchanged');
    for (const change of real) {
      await this.definitions.insert(tx, project, change);
      if (change.definition.kind === 'FeatureView') await this.#carryOutView(tx, project, change);
    }
    if (real.length > 0) await this.definitions.nextEpoch(tx);
  }

  async #carryOutView(tx: Tx, project: string, { definition, change, addedFields }: PlannedChange): Promise<void> {
    if (definition.kind !== 'FeatureView') return;
    if (change === 'updated') return addColumns(tx, await this.definitions.viewId(tx, project, definition.name), addedFields);
    const { entities } = await this.definitions.newest(tx, project);
    const { joinKeys } = entities.get(definition.spec.entity)!.definition.spec;
    const id = await this.definitions.insertView(tx, project, definition.name, partitionMonthsFor(definition.spec));
    await createRowTable(tx, id, joinKeys, definition.spec.features);
  }

  #announce(project: string, changes: readonly PlannedChange[]): void {
    for (const { definition, change, version } of changes) {
      if (change !== 'unchanged')
        this.log.info('definition applied', { project, kind: definition.kind, name: definition.name, version, change });
    }
    // A new layout of online blobs, or a view that goes online: written anew in the background.
    this.rebuilds.nudge();
  }
}

function ofOurs(definition: Definition): StoredDefinition {
  if (definition.kind !== 'Model') return definition as StoredDefinition;
  throw new AppError('DEFINITION_INVALID', `Model ${definition.name} does not belong to the feature store; send it to the registry`);
}
