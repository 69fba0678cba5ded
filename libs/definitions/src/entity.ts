import { z } from 'zod';
import { name, optionalList } from './scalars.js';

export const entitySpec = z
  .strictObject({
    description: z.string().default(''),
    owner: z.string().optional(),
    tags: optionalList(z.string(), 100),
    /** The keys that together name one entity, in order. */
    joinKeys: z.array(name).min(1).max(8),
  })
  .superRefine(({ joinKeys }, context) => {
    const add = (i: number, message: string): void => void context.addIssue({ code: 'custom', path: ['joinKeys', i], message });
    for (const [i, key] of joinKeys.entries()) {
      if (joinKeys.indexOf(key) !== i) add(i, `join keys must be unique, and ${key} is repeated; remove it`);
      if (key === 'event_time' || key === 'label')
        add(i, `a join key cannot be called ${key}; training sets have a column of that name, choose another`);
    }
  });
