import type { Tx } from '@headrace/platform/postgres/postgres';
import { nextVersionState, type VersionEvent, type VersionState } from '../domain/version-state.js';
import { illegalStep } from '../errors.js';
import { writeAudit } from '../io/audit.js';
import { updateState } from '../io/versions.js';

export interface VersionAt {
  readonly project: string;
  readonly model: string;
  readonly version: number;
}

/** One step by the table, with its audit entry. The caller holds the model's lock. @throws AppError VERSION_STATE_ILLEGAL */
export async function stepVersion(tx: Tx, at: VersionAt, from: VersionState, event: VersionEvent, actor: string): Promise<VersionState> {
  const to = nextVersionState(from, event);
  if (to === 'illegal' || !(await updateState(tx, at, from, to))) throw illegalStep(at.model, at.version, from, event);
  await writeAudit(tx, {
    project: at.project,
    actor,
    action: event,
    subject: `${at.model}/${at.version}`,
    before: { state: from },
    after: { state: to },
  });
  return to;
}
