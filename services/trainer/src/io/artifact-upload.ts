import { AppError, ERROR_CODES, messageOf, type ErrorCode } from '@headrace/base/errors';
import type { Fetch } from '@headrace/platform/http/fetch';
import { openAsBlob } from 'node:fs';

/** PUTs a file under its hash; idempotent. @throws AppError with the registry's own code, or DEPENDENCY_UNAVAILABLE */
export async function uploadArtifact(
  registryUrl: string,
  project: string,
  sha256: string,
  path: string,
  options: { apiKey: string; signal: AbortSignal; fetch: Fetch },
): Promise<void> {
  const url = `${registryUrl}/artifacts/${sha256}?project=${encodeURIComponent(project)}`;
  const headers = { 'content-type': 'application/octet-stream', ...(options.apiKey ? { authorization: `Bearer ${options.apiKey}` } : {}) };
  const response = await options
    .fetch(url, { method: 'PUT', body: await openAsBlob(path), headers, signal: options.signal })
    .catch((error: unknown) => {
      if (options.signal.aborted) throw options.signal.reason;
      throw new AppError('DEPENDENCY_UNAVAILABLE', `${url} cannot be reached: ${messageOf(error)}`, { cause: error });
    });
  const answer = (await response.json().catch(() => ({}))) as { code?: string; detail?: string };
  if (response.ok) return;
  const code: ErrorCode = answer.code && Object.hasOwn(ERROR_CODES, answer.code) ? (answer.code as ErrorCode) : 'DEPENDENCY_UNAVAILABLE';
  throw new AppError(code, `the registry refused the artefact ${sha256}: ${answer.detail ?? `HTTP ${response.status}`}`);
}
