import { messageOf } from '@headrace/base/errors';
import type { HeadraceClient } from '@headrace/client/client';
import type { Flight } from './flights.js';

export interface Predicted {
  readonly flight: Flight;
  readonly predictionId: string;
  /** Minutes. */
  readonly delay: number;
  /** 1 when the delay reaches the threshold of the model. */
  readonly label: number;
  /** The features were looked up in this span. */
  readonly askedMs: number;
  readonly answeredMs: number;
}

export interface Pass {
  readonly predicted: readonly Predicted[];
  readonly lost: number;
  /** First few reasons, for the report. */
  readonly failures: readonly string[];
}

const IN_FLIGHT = 16;
const FAILURES_SHOWN = 5;

/** Flights that are about to leave, one request each, by entity key. */
export async function predictFlights(client: HeadraceClient, flights: readonly Flight[]): Promise<Pass> {
  const predicted: Predicted[] = [];
  const failures: string[] = [];
  let [next, lost] = [0, 0];
  const worker = async (): Promise<void> => {
    for (let flight = flights[next++]; flight; flight = flights[next++]) {
      const askedMs = Date.now();
      try {
        const { rows } = await client.predict({ model: 'delay', entities: [`${flight.id}|${flight.origin}|${flight.destination}`] });
        const { id: predictionId, score: delay, label } = rows[0]!;
        predicted.push({ flight, predictionId, delay, label, askedMs, answeredMs: Date.now() });
      } catch (error) {
        lost++;
        if (failures.length < FAILURES_SHOWN) failures.push(messageOf(error));
      }
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return { predicted, lost, failures };
}

export interface Excess {
  /** Mean of the squared errors of one answer less those of another, over the same flights. Below 0 = the first is better. */
  readonly mean: number;
  readonly standardError: number;
}

/** Paired, so that what is hard for both does not count. */
export function excessOf(errors: readonly number[], ofOther: readonly number[]): Excess {
  const differences = errors.map((error, at) => error ** 2 - ofOther[at]! ** 2);
  const mean = differences.reduce((sum, difference) => sum + difference, 0) / differences.length;
  const variance = differences.reduce((sum, difference) => sum + (difference - mean) ** 2, 0) / Math.max(1, differences.length - 1);
  return { mean, standardError: Math.sqrt(variance / differences.length) };
}

export interface Errors {
  /** Minutes. */
  readonly mae: number;
  readonly rmse: number;
}

export function errorsOf(pairs: readonly (readonly [predicted: number, actual: number])[]): Errors {
  const errors = pairs.map(([predicted, actual]) => predicted - actual);
  return {
    mae: errors.reduce((sum, error) => sum + Math.abs(error), 0) / errors.length,
    rmse: Math.sqrt(errors.reduce((sum, error) => sum + error * error, 0) / errors.length),
  };
}
