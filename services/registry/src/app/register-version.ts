import { AppError } from '@headrace/base/errors';
import { Lineage, Signature, type Blessing, type RegisterVersionRequest } from '@headrace/contracts/registry/v1/registry';
import { isDefinitionOf, parseDefinition, type ModelDefinition } from '@headrace/definitions/definition';
import type { Cause } from '@headrace/platform/kafka/cause';
import { sqlState } from '@headrace/platform/postgres/errors';
import { Postgres, type Tx } from '@headrace/platform/postgres/postgres';
import { Injectable } from '@nestjs/common';
import { CHAMPION } from '../domain/aliases.js';
import { judge, type Judgement } from '../domain/blessing-rules.js';
import { readEvaluation } from '../domain/evaluation.js';
import { inspectOnnx, type OnnxReport } from '../domain/onnx-inspection.js';
import { servabilityFaults } from '../domain/servability.js';
import { modelUnknown, requestInvalid } from '../errors.js';
import { ArtifactStore } from '../io/artifacts.js';
import { writeAudit } from '../io/audit.js';
import { lockModel, readModel } from '../io/models.js';
import { insertBlessing, insertVersion, readVersion, readVersionByAlias, readVersionByRun, type VersionRow } from '../io/versions.js';
import { Telemetry } from '../telemetry.js';
import { Announcer } from './announce.js';
import { SetAlias } from './set-alias.js';
import { stepVersion, type VersionAt } from './version-steps.js';

/** A trained version comes in: written down, judged by the gates of its model, and promoted when the model says so. */
@Injectable()
export class RegisterVersion {
  constructor(
    private readonly postgres: Postgres,
    private readonly artifacts: ArtifactStore,
    private readonly announcer: Announcer,
    private readonly aliases: SetAlias,
    private readonly telemetry: Telemetry,
  ) {}

  /**
   * Idempotent by run id: a second request of the run answers what the first one made, whatever it carries.
   * @throws AppError MODEL_UNKNOWN | ARTIFACT_UNKNOWN | ARTIFACT_CORRUPT | ARTIFACT_REFUSED; then nothing is registered
   */
  async register(project: string, request: RegisterVersionRequest, actor: string): Promise<VersionRow> {
    const known = await readVersionByRun(this.postgres, project, request.runId);
    if (known) return sameModel(known, request.model);
    if (!(await readModel(this.postgres, project, request.model))) throw modelUnknown(project, request.model);
    const onnx = await this.#inspect(project, request.artifactSha256);
    const row = await this.postgres.transaction((tx) => this.#registerLocked(tx, project, request, onnx, actor)).catch(refuseUnstorable);
    this.telemetry.versionJudged(row);
    return row;
  }

  /** Reads and hashes the whole file before the transaction, so that no lock waits for a disk. */
  async #inspect(project: string, sha256: string): Promise<OnnxReport> {
    const onnx = inspectOnnx(await this.artifacts.read(project, sha256));
    if (onnx.faults.length > 0)
      throw new AppError('ARTIFACT_REFUSED', `artefact ${sha256} is refused: ${onnx.faults.join('; ')}`, { details: { sha256 } });
    return onnx;
  }

  async #registerLocked(tx: Tx, project: string, request: RegisterVersionRequest, onnx: OnnxReport, actor: string): Promise<VersionRow> {
    const { model, runId, artifactSha256 } = request;
    if (!(await lockModel(tx, project, model))) throw modelUnknown(project, model);
    const known = await readVersionByRun(tx, project, runId);
    if (known) return sameModel(known, model);

    const spec = modelSpecOf(model, (await readModel(tx, project, model))!.spec);
    const champion = await readVersionByAlias(tx, project, model, CHAMPION);
    const judgement = judge({
      spec,
      evaluation: readEvaluation(request.evaluation),
      champion: champion && { version: champion.version, evaluation: readEvaluation(champion.evaluation) },
      mitigatedAttribute: mitigatedAttribute(request),
      servabilityFaults: servabilityFaults(spec, request.signature, onnx, request.golden),
    });
    const version = await insertVersion(tx, {
      project,
      model,
      runId,
      artifactSha256,
      signature: Signature.toJSON(request.signature ?? Signature.create()),
      evaluation: request.evaluation ?? {},
      baseline: request.baseline ?? {},
      golden: request.golden ?? {},
      lineage: Lineage.toJSON(request.lineage ?? Lineage.create()),
    });
    const at = { project, model, version };
    const cause = causeOf(request);
    await writeAudit(tx, {
      project,
      actor,
      action: 'register-version',
      subject: `${model}/${version}`,
      after: { state: 'registered', runId, artifactSha256 },
    });
    await this.#judged(tx, at, runId, artifactSha256, judgement, actor, cause);
    if (judgement.blessed && spec.rollout.promotion === 'automatic') {
      await this.aliases.setLocked(tx, {
        ...at,
        alias: CHAMPION,
        reason: `promoted by the rollout policy of ${model}: every gate passed`,
        actor,
        cause,
      });
    }
    return (await readVersion(tx, project, model, version))!;
  }

  async #judged(
    tx: Tx,
    at: VersionAt,
    runId: string,
    artifactSha256: string,
    judgement: Judgement,
    actor: string,
    cause: Cause,
  ): Promise<void> {
    await stepVersion(tx, at, 'registered', 'evaluate', actor);
    await stepVersion(tx, at, 'evaluated', judgement.blessed ? 'bless' : 'reject', actor);
    await insertBlessing(tx, at, judgement);
    const { blessed, championVersion } = judgement;
    const blessing: Blessing = {
      blessed,
      championVersion,
      gates: [...judgement.gates],
      judgedAt: (await readVersion(tx, at.project, at.model, at.version))!.judged_at ?? undefined,
    };
    await this.announcer.announce(
      tx,
      at,
      [
        { $case: 'registered', value: { runId, artifactSha256 } },
        { $case: 'evaluated', value: { runId } },
        { $case: blessed ? 'blessed' : 'rejected', value: { blessing } },
      ],
      cause,
    );
  }
}

function mitigatedAttribute({ lineage }: RegisterVersionRequest): string | undefined {
  const attribute: unknown = lineage?.mitigation?.attribute;
  return typeof attribute === 'string' && attribute !== '' ? attribute : undefined;
}

/** The alert, or else the request, names the whole chain from the prediction to the promotion; the trace is that of the call. */
function causeOf({ lineage, runId }: RegisterVersionRequest): Cause {
  return { traceparent: '', correlationId: lineage?.alertId || lineage?.requestId || runId, causationId: runId };
}

function sameModel(row: VersionRow, model: string): VersionRow {
  if (row.model !== model)
    throw requestInvalid(
      'run_id',
      `${row.run_id} already registered version ${row.version} of ${row.model}, so it cannot register one of ${model}`,
    );
  return row;
}

function modelSpecOf(model: string, spec: Record<string, unknown>): ModelDefinition['spec'] {
  const definition = parseDefinition({ ...spec, kind: 'Model', name: model }, `the stored definition of ${model}`);
  if (!isDefinitionOf(definition, 'Model')) throw new Error(`the stored definition of ${model} is of kind ${definition.kind}`);
  return definition.spec;
}

/** Postgres keeps no U+0000 and no lone surrogate in JSON (SQLSTATE 22P05, 22P02). */
function refuseUnstorable(error: unknown): never {
  if (sqlState(error) === '22P05' || sqlState(error) === '22P02')
    throw requestInvalid('evaluation, baseline or golden', 'holds a text that is not storable Unicode (U+0000 or half a surrogate pair)');
  throw error;
}
