import { messageOf } from '@headrace/base/errors';
import type { HeadraceClient } from '@headrace/client/client';
import type { Flight } from './flights.js';
import { lateOf } from './publish.js';

export interface Predicted {
  readonly answered: number;
  readonly lost: number;
  readonly failures: readonly string[];
  /** Of the probability to be late, against what happened. */
  readonly rmse: number;
  readonly rmseOfBaseRate: number;
  /** Share of pairs of a late and a punctual flight in which the late one has the higher probability. */
  readonly auc: number;
}

const IN_FLIGHT = 32;

/** Flights that are about to leave, one request each, by entity key. @param baseRate share of late flights in training: the naive answer. */
export async function predictFlights(client: HeadraceClient, flights: readonly Flight[], baseRate: number): Promise<Predicted> {
  const scored: { score: number; late: number }[] = [];
  const failures: string[] = [];
  let [next, lost] = [0, 0];
  const worker = async (): Promise<void> => {
    for (let flight = flights[next++]; flight; flight = flights[next++]) {
      try {
        const answer = await client.predict({ model: 'punctuality', entities: [`${flight.id}|${flight.origin}|${flight.destination}`] });
        scored.push({ score: answer.rows[0]!.score, late: lateOf(flight) });
      } catch (error) {
        lost++;
        if (failures.length < 5) failures.push(messageOf(error));
      }
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return {
    answered: scored.length,
    ...{ lost, failures },
    rmse: rmseOf(scored.map(({ score, late }) => score - late)),
    rmseOfBaseRate: rmseOf(scored.map(({ late }) => baseRate - late)),
    auc: aucOf(scored),
  };
}

export function rmseOf(errors: readonly number[]): number {
  return Math.sqrt(errors.reduce((sum, error) => sum + error * error, 0) / errors.length);
}

/** Mann-Whitney U over the number of pairs; equal scores count half. */
export function aucOf(scored: readonly { score: number; late: number }[]): number {
  const late = scored.filter((s) => s.late === 1);
  const punctual = scored.filter((s) => s.late === 0);
  let wins = 0;
  for (const a of late) for (const b of punctual) wins += a.score > b.score ? 1 : a.score === b.score ? 0.5 : 0;
  return wins / (late.length * punctual.length);
}
