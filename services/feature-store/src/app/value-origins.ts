import { Injectable } from '@nestjs/common';
import { joinEntityKey } from '@headrace/codec/feature-key';
import type { FeatureValue } from '@headrace/codec/feature-blob';
import { splitReference } from '@headrace/definitions/reference';
import type { OnlineValue } from '../domain/online-vector.js';
import { fieldOf, type Knowledge } from '../domain/point-in-time-probe.js';
import { judgeRows, type HistoryRow, type LostRow, type Moment } from '../domain/row-verdict.js';
import type { ToldOrigin } from '../domain/value-reason.js';
import type { View } from '../domain/view.js';
import { WindowTrace } from '../domain/window-origin.js';
import { requestInvalid } from '../errors.js';
import { ValueHistory } from '../io/value-history.js';
import { WindowRows } from '../io/window-rows.js';

/** Where the value of one stored feature or window comes from. */
export interface ValueOrigin extends ToldOrigin, OnlineValue {
  readonly eventTimeMs: number | undefined;
  /** The nearest of those that do not count. */
  readonly lost: readonly LostRow[];
  /** Of a window: the newest rows in it. */
  readonly windowRows: readonly HistoryRow[];
}

/** Rows that are told of each kind: below the winner or in the window, later ones, unknown ones. */
const NEAREST = 10;

/** Finds the rows behind values in the offline store, which holds the whole history. */
@Injectable()
export class ValueOrigins {
  constructor(
    private readonly history: ValueHistory,
    private readonly windowRows: WindowRows,
  ) {}

  /** @throws AppError REQUEST_INVALID when the view has no such feature, or the entity lacks a join key */
  of(view: View, reference: string, entity: Readonly<Record<string, string>>, moment: Moment): Promise<ValueOrigin> {
    const { feature } = splitReference(reference);
    const entityKey = entityKeyOf(view, entity);
    if (view.windows?.indexOf.has(feature)) return this.#ofWindow(view, reference, entityKey, moment);
    fieldOf(view, feature);
    return this.#ofRow(view, reference, entityKey, moment);
  }

  async #ofRow(view: View, reference: string, entityKey: string, moment: Moment): Promise<ValueOrigin> {
    const column = view.fieldIndex.get(splitReference(reference).feature)!;
    const rows = await this.#around(view, entityKey, column, moment);
    const { status, newest, lost } = judgeRows(rows, moment, view.spec.ttl);
    return {
      ...{ reference, status, newest, lost, ttlMs: view.spec.ttl, window: undefined, windowRows: [] },
      value: status === 'present' ? newest!.value : null,
      eventTimeMs: newest?.eventTimeMs,
    };
  }

  async #ofWindow(view: View, reference: string, entityKey: string, moment: Moment): Promise<ValueOrigin> {
    const { feature } = splitReference(reference);
    const trace = new WindowTrace(view, feature, moment.nowMs);
    const range = { entityKey, fromMs: trace.readFromMs, toMs: moment.nowMs + 1 };
    for await (const batch of this.windowRows.read(view, [range], knowledgeOf(moment))) for (const { row } of batch) trace.take(row);
    const { origin, value, status, eventTimeMs } = trace.finish();
    const column = origin.feature.column === undefined ? undefined : view.fieldIndex.get(origin.feature.column);
    const around = await this.#around(view, entityKey, column, { ...moment, untilMs: moment.nowMs });
    const before = await this.history.read(view, entityKey, column, {
      untilMs: origin.fromMs - 1,
      knowledge: knowledgeOf(moment),
      limit: NEAREST,
    });
    const isIn = ({ eventTimeMs: ms }: HistoryRow): boolean => ms >= origin.fromMs;
    const { newest, lost } = judgeRows(around, { ...moment, untilMs: moment.nowMs }, 0);
    const counted = [
      ...(newest ? [newest] : []),
      ...lost.flatMap(({ row, reason }) => (reason === 'later' || reason === 'not_arrived' ? [] : [row])),
    ];
    return {
      ...{ reference, status, eventTimeMs, newest: undefined, ttlMs: view.spec.ttl, window: origin },
      value: value as FeatureValue,
      windowRows: counted.filter(isIn),
      lost: [
        ...lost.filter(({ row, reason }) => reason === 'later' || (reason === 'not_arrived' && isIn(row))),
        ...before.map((row): LostRow => ({ row, reason: 'before_window' })),
      ],
    };
  }

  /** The rows that could be asked about: the newest that count, some that come after the moment, some that had not arrived. */
  async #around(view: View, entityKey: string, column: number | undefined, { untilMs, asOfMs }: Moment): Promise<HistoryRow[]> {
    const knowledge: Knowledge = asOfMs === undefined ? ALL : { kind: 'asOf', ms: asOfMs };
    const read = (slice: Omit<Parameters<ValueHistory['read']>[3], 'limit'>, limit = NEAREST): Promise<HistoryRow[]> =>
      this.history.read(view, entityKey, column, { ...slice, limit });
    const counting = await read({ untilMs, knowledge }, NEAREST + 1);
    const later = untilMs === undefined ? [] : await read({ afterMs: untilMs, knowledge: ALL });
    const unknown = asOfMs === undefined ? [] : await read({ untilMs, arrivedAfterMs: asOfMs, knowledge: ALL });
    return [...counting, ...later, ...unknown];
  }
}

const ALL: Knowledge = { kind: 'all' };

function knowledgeOf({ asOfMs }: Moment): Knowledge {
  return asOfMs === undefined ? ALL : { kind: 'asOf', ms: asOfMs };
}

function entityKeyOf(view: View, entity: Readonly<Record<string, string>>): string {
  const keys = view.joinKeys.map((key) => {
    const value = Object.hasOwn(entity, key) ? entity[key] : undefined;
    if (value === undefined) throw requestInvalid(`the entity lacks the join key ${key} of view ${view.name}`);
    return value;
  });
  return joinEntityKey(keys);
}
