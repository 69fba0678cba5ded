import type { Connections } from './connect.js';
import { errorsOf, excessOf, type Pass, type Predicted } from './predict-flights.js';
import { publishOutcomes } from './publish.js';
import type { FlightsReport } from './report.js';
import { MODEL } from './steps.js';
import { until } from './until.js';

/** The outcomes come late, and the monitor judges whether "15 minutes late or more" was right. */
export async function observe(site: Connections, predicted: readonly Predicted[], threshold: number): Promise<FlightsReport['monitor']> {
  await publishOutcomes(site, new Map(predicted.map(({ predictionId, flight }) => [predictionId, flight.delay])));
  const right = predicted.filter(({ label, flight }) => label === (flight.delay >= threshold ? 1 : 0)).length;
  const report = await until(`${predicted.length} outcomes joined by the monitor`, async () => {
    const now = await site.monitor.getReport({ project: site.project, model: MODEL });
    return now.labelled >= predicted.length && now;
  });
  return { labelled: report.labelled, accuracy: report.accuracy, ownAccuracy: right / predicted.length };
}

/** What happened to the flights that were about to leave, beside three answers that need no model. @param mean delay of the labels */
export async function liveErrors(site: Connections, { predicted }: Pass, mean: number): Promise<FlightsReport['live']> {
  const { vectors } = await site.features.getOnlineFeatures({
    project: site.project,
    features: ['from_origin:origin_mean_7d', 'from_origin:origin_mean_1h'],
    entities: predicted.map(({ flight }) => ({ keys: { origin: flight.origin } })),
  });
  const errors = (answerOf: (one: Predicted, at: number) => number) =>
    errorsOf(predicted.map((one, at) => [answerOf(one, at), one.flight.delay]));
  const served = (column: number) => (_: Predicted, at: number) => (vectors[at]!.values[column] as number | null) ?? mean;
  return {
    model: errors(({ delay }) => delay),
    meanLabel: errors(() => mean),
    originWeek: errors(served(0)),
    originHour: errors(served(1)),
    excess: excessOf(
      predicted.map(({ delay, flight }) => delay - flight.delay),
      predicted.map(({ flight }) => mean - flight.delay),
    ),
  };
}
