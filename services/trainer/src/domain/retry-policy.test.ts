import { AppError, ERROR_CODES, type ErrorCode } from '@headrace/base/errors';
import { expect, it } from 'vitest';
import { afterFailure, WorkerLost } from './retry-policy.js';

const limits = { attemptsMax: 4, backoffMs: 1_000 };

it('tries again after a lost worker, twice as late each time, until the attempts are spent', () => {
  const answers = [1, 2, 3, 4, 5].map((attempt) => afterFailure(new WorkerLost('gone'), attempt, limits));
  expect(answers).toEqual([
    { again: true, afterMs: 1_000 },
    { again: true, afterMs: 2_000 },
    { again: true, afterMs: 4_000 },
    { again: false },
    { again: false },
  ]);
});

it('never waits longer than ten minutes', () => {
  expect(afterFailure(new WorkerLost('gone'), 60, { attemptsMax: 100, backoffMs: 1_000 })).toEqual({ again: true, afterMs: 600_000 });
});

it('repeats exactly the failures that may pass by themselves', () => {
  const repeated = (Object.keys(ERROR_CODES) as ErrorCode[]).filter((code) => afterFailure(new AppError(code, 'x'), 1, limits).again);
  expect(repeated).toEqual(['ARTIFACT_CORRUPT', 'OVERLOADED', 'DEPENDENCY_UNAVAILABLE', 'DEADLINE_EXCEEDED']);
  expect(afterFailure(new TypeError('a defect'), 1, limits)).toEqual({ again: false });
});
