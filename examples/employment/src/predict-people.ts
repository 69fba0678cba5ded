import type { HeadraceClient } from '@headrace/client/client';
import { messageOf } from '@headrace/base/errors';
import type { Person } from './people.js';
import { Tally } from './tally.js';

export interface Pass {
  readonly answered: number;
  readonly lost: number;
  /** First few reasons, for the report. */
  readonly failures: readonly string[];
  /** prediction id -> label that the person really had */
  readonly outcomes: ReadonlyMap<string, number>;
  /** Our own count of who was judged how, from the answers alone: what the monitor must find too. */
  readonly tally: Tally;
  readonly versions: ReadonlySet<number>;
}

const IN_FLIGHT = 64;

/** Predicts everyone once, one request a person, by entity key, 64 in flight. */
export async function predictPeople(client: HeadraceClient, people: readonly Person[], onProgress: (done: number) => void): Promise<Pass> {
  const outcomes = new Map<string, number>();
  const tally = new Tally();
  const versions = new Set<number>();
  const failures: string[] = [];
  let [next, answered, lost] = [0, 0, 0];
  const worker = async (): Promise<void> => {
    for (let person = people[next++]; person; person = people[next++]) {
      try {
        const answer = await client.predict({ model: 'employment', entities: [person.id] });
        const [row] = answer.rows;
        outcomes.set(row!.id, person.employed);
        tally.add(String(person.features.DIS), row!.label, person.employed);
        versions.add(answer.version);
        answered++;
      } catch (error) {
        lost++;
        if (failures.length < 5) failures.push(messageOf(error));
      }
      if ((answered + lost) % 2000 === 0) onProgress(answered + lost);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return { answered, lost, failures, outcomes, tally, versions };
}
