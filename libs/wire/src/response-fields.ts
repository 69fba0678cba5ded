import type { Fields } from './header-writer.js';
import { encodeMetadataValue } from './metadata.js';
import type { Metadata, MetadataValue } from './metadata.js';
import { encodeStatusMessage } from './status.js';
import type { GrpcError } from './status.js';

/** A message of an error that is longer than this is cut: trailers are metadata, and clients bound those. */
const STATUS_MESSAGE_CHARS_MAX = 2000;

export const OK_HEADERS: Fields = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
];
export const OK_HEADERS_GZIP: Fields = [...OK_HEADERS, ['grpc-encoding', 'gzip']];
export const OK_TRAILERS: Fields = [['grpc-status', '0']];

export function errorTrailers(error: GrpcError, metadata: Metadata | undefined = error.metadata): Fields {
  const fields: [string, string][] = [['grpc-status', String(error.code)]];
  if (error.message !== '') fields.push(['grpc-message', encodeStatusMessage(error.message.slice(0, STATUS_MESSAGE_CHARS_MAX))]);
  if (error.details !== undefined) fields.push(['grpc-status-details-bin', encodeMetadataValue(error.details)]);
  return metadata === undefined ? fields : [...fields, ...metadataFields(metadata)];
}

export function metadataFields(metadata: Iterable<readonly [string, MetadataValue]>): Fields {
  return Array.from(metadata, ([name, value]) => [name, encodeMetadataValue(value)] as const);
}
