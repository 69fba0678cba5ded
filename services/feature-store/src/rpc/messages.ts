import {
  Change,
  Destination,
  FieldStatus,
  RowVerdict,
  type AppliedDefinition,
  type Definition,
  type OnlineVector,
  type PublishRowsResponse,
  type TrainingSet,
  type View,
} from '@headrace/contracts/features/v1/features';
import type { ListedView } from '../app/list-views.js';
import type { Pushed, RowVerdict as Verdict } from '../app/push-rows.js';
import type { Destination as To } from '../app/store-rows.js';
import type { PlannedChange } from '../domain/definition-plan.js';
import type { FieldStatus as Status, OnlineValue } from '../domain/online-vector.js';
import type { TrainingSetRecord } from '../domain/point-in-time-plan.js';
import { requestInvalid } from '../errors.js';

const CHANGES: Readonly<Record<PlannedChange['change'], Change>> = {
  created: Change.CREATED,
  updated: Change.UPDATED,
  unchanged: Change.UNCHANGED,
};

export const STATUSES: Readonly<Record<Status, FieldStatus>> = {
  present: FieldStatus.PRESENT,
  null_value: FieldStatus.NULL_VALUE,
  not_found: FieldStatus.NOT_FOUND,
  outside_max_age: FieldStatus.OUTSIDE_MAX_AGE,
};

const DESTINATIONS: Readonly<Partial<Record<Destination, To>>> = {
  [Destination.UNSPECIFIED]: 'both',
  [Destination.ONLINE]: 'online',
  [Destination.OFFLINE]: 'offline',
  [Destination.BOTH]: 'both',
};

export function destinationOf(to: Destination): To {
  const destination = DESTINATIONS[to];
  if (destination === undefined) throw requestInvalid(`\`to\` is ${to}; send ONLINE, OFFLINE or BOTH`);
  return destination;
}

const VERDICTS: Readonly<Record<Verdict, RowVerdict>> = {
  accepted: RowVerdict.ACCEPTED,
  duplicate: RowVerdict.DUPLICATE,
  refused: RowVerdict.REFUSED,
};

export function toPublished({ accepted, duplicates, rejected, verdicts }: Pushed): PublishRowsResponse {
  return {
    accepted,
    duplicates,
    rejected: rejected.map(({ row, code, reason }) => ({ row, code, reason })),
    verdicts: verdicts.map((verdict) => VERDICTS[verdict]),
  };
}

/** The spec carries its fields beside `kind` and `name`, as in a YAML document. */
export function toDocument({ kind, name, spec }: Definition): unknown {
  return { ...spec, kind, name };
}

export function toApplied({ definition, change, version, differences, affected }: PlannedChange): AppliedDefinition {
  const { kind, name, contentHash } = definition;
  return { kind, name, version, contentHash, change: CHANGES[change], differences: [...differences], affected: [...affected] };
}

export function toView({ view, offlineRows }: ListedView): View {
  return {
    name: view.name,
    version: view.version,
    contentHash: view.contentHash,
    spec: view.spec,
    offlineRows,
    joinKeys: [...view.joinKeys],
  };
}

/** A timestamp feature travels as epoch milliseconds, as it may come in. */
export function toVector(values: readonly OnlineValue[]): OnlineVector {
  return {
    values: values.map((v): unknown => v.value),
    statuses: values.map((v) => STATUSES[v.status]),
    eventTimes: values.map((v) => new Date(v.eventTimeMs ?? 0)),
  };
}

export function toTrainingSet(record: TrainingSetRecord): TrainingSet {
  const { hash, rows, bytes, columns, query, viewHashes } = record;
  return { hash, rows, bytes, columns: [...columns], query, viewHashes: { ...viewHashes }, path: `/training-sets/${hash}.parquet` };
}
