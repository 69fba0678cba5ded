import type {
  ExplainValueResponse,
  LostRow as LostRowMessage,
  StoredRow,
  ValueOrigin,
  WindowOrigin as WindowMessage,
} from '@headrace/contracts/features/v1/catalogue';
import type { ExplainedOrigin, Explanation } from '../app/explain-value.js';
import type { HistoryRow, LostRow } from '../domain/row-verdict.js';
import { lostText } from '../domain/value-reason.js';
import type { WindowOrigin } from '../domain/window-origin.js';
import { STATUSES } from './messages.js';

/** An explanation on its way out. Here personal values end: none of them is written into an answer. */
export function toExplanation({
  feature,
  atMs,
  value,
  status,
  eventTimeMs,
  isPersonal,
  reason,
  origins,
}: Explanation): ExplainValueResponse {
  return {
    feature,
    at: new Date(atMs),
    value: isPersonal ? undefined : value,
    status: STATUSES[status],
    eventTime: dateOf(eventTimeMs),
    personal: isPersonal,
    reason,
    origins: origins.map(toOrigin),
  };
}

function toOrigin(origin: ExplainedOrigin): ValueOrigin {
  const { reference, value, status, isPersonal, reason, ttlMs, newest, lost, window, windowRows, served } = origin;
  return {
    reference,
    value: isPersonal ? undefined : value,
    status: STATUSES[status],
    personal: isPersonal,
    reason,
    ttlMs,
    row: newest && toRow(newest, isPersonal),
    lost: lost.map((one) => toLost(one, isPersonal)),
    window: window && toWindow(window, windowRows, isPersonal),
    served: served && {
      value: isPersonal ? undefined : served.value,
      status: STATUSES[served.status],
      eventTime: dateOf(served.eventTimeMs),
      agrees: served.agrees,
    },
  };
}

function toRow({ value, eventTimeMs, firstIngestUs, lastIngestUs }: HistoryRow, isPersonal: boolean): StoredRow {
  return {
    value: isPersonal ? undefined : value,
    eventTime: new Date(eventTimeMs),
    firstArrivalUs: firstIngestUs,
    lastArrivalUs: lastIngestUs,
  };
}

function toLost({ row, reason }: LostRow, isPersonal: boolean): LostRowMessage {
  return { row: toRow(row, isPersonal), code: reason, reason: lostText(reason) };
}

function toWindow(
  { feature, hopMs, fromMs, toMs, rows, tiles }: WindowOrigin,
  newest: readonly HistoryRow[],
  isPersonal: boolean,
): WindowMessage {
  return {
    function: feature.function,
    column: feature.column ?? '',
    windowMs: feature.windowMs,
    hopMs,
    from: new Date(fromMs),
    to: new Date(toMs),
    rows,
    tiles: tiles.map((tile) => ({ from: new Date(tile.fromMs), to: new Date(tile.toMs), rows: tile.rows })),
    newestRows: newest.map((row) => toRow(row, isPersonal)),
  };
}

function dateOf(ms: number | undefined): Date | undefined {
  return ms === undefined ? undefined : new Date(ms);
}
