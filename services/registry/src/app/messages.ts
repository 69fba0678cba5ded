import { Lineage, type Model, Signature, type Version, VersionState } from '@headrace/contracts/registry/v1/registry';
import type { ModelRow } from '../io/models.js';
import type { VersionRow } from '../io/versions.js';
import type { VersionState as State } from '../domain/version-state.js';

const STATE: Readonly<Record<State, VersionState>> = {
  registered: VersionState.REGISTERED,
  evaluated: VersionState.EVALUATED,
  blessed: VersionState.BLESSED,
  rejected: VersionState.REJECTED,
  shadow: VersionState.SHADOW,
  canary: VersionState.CANARY,
  champion: VersionState.CHAMPION,
  archived: VersionState.ARCHIVED,
};

export function toModel(row: ModelRow): Model {
  return {
    project: row.project,
    name: row.name,
    definitionVersion: row.definition_version,
    contentHash: row.content_hash,
    spec: row.spec,
    aliases: row.aliases,
  };
}

export function toVersion(row: VersionRow): Version {
  const { blessed, gates, champion_version: championVersion, judged_at: judgedAt } = row;
  return {
    project: row.project,
    model: row.model,
    version: row.version,
    state: STATE[row.state],
    runId: row.run_id,
    artifactSha256: row.artifact_sha256,
    signature: Signature.fromJSON(row.signature),
    evaluation: row.evaluation,
    baseline: row.baseline,
    golden: row.golden,
    lineage: Lineage.fromJSON(row.lineage),
    blessing:
      blessed === null
        ? undefined
        : {
            blessed,
            championVersion: championVersion ?? 0,
            judgedAt: judgedAt ?? undefined,
            gates: (gates ?? []).map((gate) => ({ ...gate, value: gate.value ?? Number.NaN, threshold: gate.threshold ?? Number.NaN })),
          },
    aliases: [...row.aliases],
    createdAt: row.created_at,
  };
}
