import { AppError } from '@headrace/base/errors';
import { Change, type AppliedDefinition, type ApplyRequest } from '@headrace/contracts/features/v1/features';
import { diffSpecs } from '@headrace/definitions/definition-diff';
import { isDefinitionOf, parseDefinition, type ModelDefinition } from '@headrace/definitions/definition';
import { Postgres, type Tx } from '@headrace/platform/postgres/postgres';
import { Injectable } from '@nestjs/common';
import { writeAudit } from '../io/audit.js';
import { insertDefinition, lockOrCreateModel } from '../io/models.js';
import { Announcer } from './announce.js';

/** Stores model definitions: all documents of the request or none. */
@Injectable()
export class ApplyModels {
  constructor(
    private readonly postgres: Postgres,
    private readonly announcer: Announcer,
  ) {}

  /** @throws AppError DEFINITION_INVALID before anything is written */
  async apply(project: string, request: ApplyRequest, actor: string): Promise<AppliedDefinition[]> {
    const definitions = request.definitions.map((d, i) => toModel({ ...d.spec, kind: d.kind, name: d.name }, `definitions[${i}]`));
    // In one order everywhere, so that two applies never wait for each other's locks.
    const ordered = [...definitions].sort((a, b) => (a.name < b.name ? -1 : 1));
    const run = async (tx: Tx): Promise<AppliedDefinition[]> => {
      const applied: AppliedDefinition[] = [];
      for (const definition of ordered) applied.push(await this.#applyOne(tx, project, definition, actor));
      if (request.dryRun) throw new DryRun(applied);
      return applied;
    };
    const applied = await this.postgres.transaction(run).catch((error: unknown) => {
      if (error instanceof DryRun) return error.applied;
      throw error;
    });
    return definitions.map((d) => applied.find((a) => a.name === d.name)!);
  }

  async #applyOne(tx: Tx, project: string, { name, spec, contentHash }: ModelDefinition, actor: string): Promise<AppliedDefinition> {
    const current = await lockOrCreateModel(tx, project, name);
    if (current?.contentHash === contentHash)
      return { kind: 'Model', name, version: current.version, contentHash, change: Change.UNCHANGED, differences: [], affected: [] };
    const version = (current?.version ?? 0) + 1;
    await insertDefinition(tx, { project, model: name, version, contentHash, spec });
    await writeAudit(tx, {
      project,
      actor,
      action: 'define-model',
      subject: name,
      before: current && { version: current.version, contentHash: current.contentHash },
      after: { version, contentHash },
    });
    await this.announcer.announce(tx, { project, model: name, version: 0 }, [
      { $case: 'defined', value: { definitionVersion: version, contentHash } },
    ]);
    return {
      kind: 'Model',
      name,
      version,
      contentHash,
      change: current ? Change.UPDATED : Change.CREATED,
      differences: current ? diffSpecs(current.spec, spec) : [],
      affected: [],
    };
  }
}

/** Rolls the transaction back and carries out what it would have done. */
class DryRun extends Error {
  readonly applied: AppliedDefinition[];
  constructor(applied: AppliedDefinition[]) {
    super('dry run');
    this.applied = applied;
  }
}

function toModel(document: unknown, where: string): ModelDefinition {
  const definition = parseDefinition(document, where);
  if (isDefinitionOf(definition, 'Model')) return definition;
  throw new AppError(
    'DEFINITION_INVALID',
    `${where}: the registry keeps definitions of kind Model; ${definition.kind} ${definition.name} belongs to the feature store`,
  );
}
