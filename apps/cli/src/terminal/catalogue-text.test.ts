import { ExplainValueResponse, Lineage, SearchFeaturesResponse } from '@headrace/contracts/features/v1/catalogue';
import { expect, it } from 'vitest';
import { printExplanation, printFound, printLineage } from './catalogue-text.js';

const at = new Date('2024-01-01T00:00:00Z');

it('lists what was found, with what is hidden and what is left out', () => {
  const found = SearchFeaturesResponse.fromPartial({
    features: [
      { reference: 'v:a', type: 'int64', owner: 'me', tags: ['x', 'y'], madeFrom: ['push'], readBy: ['Model m'], samples: ['1', '2'] },
      { reference: 'v:name', type: 'string', pii: true, samples: [], usage: { onlineReads: 7, trainingSets: 2 } },
    ],
    services: [{ name: 's', owner: 'me', references: ['v:a'] }],
    featuresFound: 5,
    servicesFound: 1,
    modelsKnown: false,
  });
  expect(printFound(found)).toMatchInlineSnapshot(`
    "feature  type    owner  tags  from  read by  online reads  training sets  such as
    v:a      int64   me     x,y   push  Model m             0              0  1 2
    v:name   string                                         7              2  (personal)

    feature service  owner  tags  features  online reads  training sets
    s                me                  1             0              0
    5 features fit; --limit shows more
    the registry does not answer, so no models are named"
  `);
});

it('shows lineage edge by edge, with hashes cut', () => {
  const hash = 'ab'.repeat(32);
  const node = { version: 1, owner: '', state: '' };
  const lineage = Lineage.fromPartial({
    nodes: [
      { ...node, id: 'FeatureView v', kind: 'FeatureView', name: 'v' },
      { ...node, id: `TrainingSet ${hash}`, kind: 'TrainingSet', name: hash },
      { ...node, id: 'ModelVersion m/1', kind: 'ModelVersion', name: 'm/1', state: 'champion' },
    ],
    edges: [
      { from: 'FeatureView v', to: `TrainingSet ${hash}`, readVersion: 3 },
      { from: 'FeatureView v', to: 'ModelVersion m/1', features: ['v:a', 'v:b'] },
      { from: `TrainingSet ${hash}`, to: 'ModelVersion m/1' },
    ],
    modelsKnown: true,
  });
  expect(printLineage(lineage)).toMatchInlineSnapshot(`
    "from                      to                           what
    FeatureView v             TrainingSet abababababab     version 3
    FeatureView v             ModelVersion m/1 (champion)  v:a v:b
    TrainingSet abababababab  ModelVersion m/1 (champion)"
  `);
});

it('explains a value by the row that counts and those that do not', () => {
  const row = { eventTime: at, firstArrivalUs: at.getTime() * 1000 + 7, lastArrivalUs: at.getTime() * 1000 + 1_000_007, value: 3 };
  const explained = ExplainValueResponse.fromPartial({
    feature: 'v:a',
    at,
    value: 3,
    reason: 'v:a comes from the row',
    origins: [
      {
        reference: 'v:a',
        reason: 'v:a comes from the row',
        row,
        lost: [{ row: { ...row, value: null }, code: 'older_event', reason: 'a newer event replaced it' }],
        served: { value: 4, agrees: false },
      },
    ],
  });
  expect(printExplanation(explained)).toMatchInlineSnapshot(`
    "v:a at 2024-01-01T00:00:00.000Z: 3
    v:a comes from the row
    event time                arrived first                arrived last                 value
    2024-01-01T00:00:00.000Z  2024-01-01T00:00:00.000007Z  2024-01-01T00:00:01.000007Z  3      counts
    2024-01-01T00:00:00.000Z  2024-01-01T00:00:00.000007Z  2024-01-01T00:00:01.000007Z  null   a newer event replaced it
    the online store gives 4 instead: see \`headrace feature-health\`"
  `);
});
