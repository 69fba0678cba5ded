import { z } from 'zod';

/** One line of the training runtime's stdout. */
const line = z.discriminatedUnion('event', [
  z.looseObject({ event: z.literal('step'), step: z.string().max(100) }),
  z.looseObject({ event: z.literal('progress'), step: z.string().max(100), done: z.number(), total: z.number() }),
  z.looseObject({ event: z.literal('metric'), name: z.string() }),
  z.looseObject({ event: z.literal('error'), code: z.string().max(100), message: z.string() }),
]);

export type ProgressLine = z.output<typeof line>;

/** undefined for what is no progress line: libraries may print there too. */
export function readProgress(text: string): ProgressLine | undefined {
  try {
    const parsed = line.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** `train/fit 40/150`; undefined when the line does not move the step. */
export function stepText(progress: ProgressLine): string | undefined {
  if (progress.event === 'step') return `train/${progress.step} done`;
  if (progress.event === 'progress') return `train/${progress.step} ${progress.done}/${progress.total}`;
  return undefined;
}
