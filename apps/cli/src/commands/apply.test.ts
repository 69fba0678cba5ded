import { Change } from '@headrace/contracts/features/v1/features';
import { parseDefinitionsFiles } from '@headrace/definitions/yaml-file';
import { expect, it } from 'vitest';
import { located, planLines } from './apply.js';

it('shows a plan as what is added, changed and removed, and whom it concerns', () => {
  const head = { kind: 'FeatureView', contentHash: '' };
  expect(
    planLines([
      { ...head, name: 'new', version: 1, change: Change.CREATED, differences: [], affected: [] },
      {
        ...head,
        name: 'v',
        version: 2,
        change: Change.UPDATED,
        differences: [
          { path: 'ttl', before: '0', after: '5' },
          { path: 'owner', before: '', after: '"me"' },
          { path: 'features.age', before: '{}', after: '' },
        ],
        affected: ['Model m'],
      },
    ]),
  ).toEqual([
    '+ FeatureView new version 1',
    '~ FeatureView v version 2',
    '    ~ ttl: 0 -> 5',
    '    + owner: "me"',
    '    - features.age: {}',
    '    concerns Model m',
  ]);
});

it('says in which file and line the definition stands that a service refused', () => {
  const placed = parseDefinitionsFiles([{ file: 'a.yaml', text: '\nkind: Entity\nname: x\njoinKeys: [a]' }]);
  expect(located('Entity x: wrong\nsomething else', placed)).toBe('a.yaml:2: Entity x: wrong\nsomething else');
});
