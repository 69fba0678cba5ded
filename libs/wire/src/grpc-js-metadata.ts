import { Metadata as GrpcJsMetadata } from '@grpc/grpc-js';
import { Metadata } from './metadata.js';

/** Our metadata as grpc-js's. */
export function toGrpcJs(metadata: Metadata): GrpcJsMetadata {
  const theirs = new GrpcJsMetadata();
  for (const [name, value] of metadata) theirs.add(name, typeof value === 'string' ? value : Buffer.from(value));
  return theirs;
}

/** And back. */
export function fromGrpcJs(theirs: GrpcJsMetadata): Metadata {
  const names: string[] = [];
  const values: string[] = [];
  for (const name of Object.keys(theirs.getMap())) {
    for (const value of theirs.get(name)) {
      names.push(name);
      values.push(typeof value === 'string' ? value : value.toString('base64'));
    }
  }
  return Metadata.fromFields(names, values, names.length);
}
