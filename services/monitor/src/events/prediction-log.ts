import { PredictionsLogged } from '@headrace/contracts/events/v1/events';
import { decodePredictionsLogged, type PredictionsLoggedData } from '@headrace/codec/predictions-logged';
import { predictionsLogged, type EventType } from '@headrace/events/catalog';

/** The prediction log with its hand-made decoder: 70,000 rows of 20 columns come in bursts. */
export const predictionLog: EventType<PredictionsLoggedData> = {
  ...predictionsLogged,
  key: ({ project, model }) => `${project}/${model}`,
  subject: ({ model, version }) => `${model}/${version}`,
  project: ({ project }) => project,
  message: {
    decode: decodePredictionsLogged,
    fromJSON: (object) => decodePredictionsLogged(PredictionsLogged.encode(PredictionsLogged.fromJSON(object)).finish()),
    encode: (data) => PredictionsLogged.encode(toMessage(data)),
    toJSON: (data) => PredictionsLogged.toJSON(toMessage(data)),
  },
};

function toMessage(data: PredictionsLoggedData): PredictionsLogged {
  return {
    ...data,
    columns: data.columns.map((column) => ({ ...column, numbers: [...column.numbers] })),
    redacted: data.redacted.map((column) => ({ ...column, tokens: [...column.tokens] })),
  };
}
