/**
 * What the online store keeps for one (entity, feature service) that is precomputed: the blobs of its views as they stand, one behind the
 * other, so that a read is one key and yields what a read of the rows yields.
 *
 *   vector = format:u8(=2) version:u32 part*   part = length:u32 blob; one for each view of the service, in its order; length 0 = no row
 *
 * Little endian. The version is that of the service: an older vector is not kept up to date any more, and is passed over.
 */
export const VECTOR_FORMAT = 2;
const HEADER_BYTES = 5;

/** Puts the rows of a vector into `rows[at...]`. @returns false when it is none of this version or corrupt; then the rows are to be read themselves. */
export function splitVector(vector: Buffer | null, version: number, views: number, rows: (Buffer | null)[], at: number): boolean {
  if (vector === null || vector.length < HEADER_BYTES || vector[0] !== VECTOR_FORMAT || vector.readUInt32LE(1) !== version) return false;
  let pos = HEADER_BYTES;
  for (let i = 0; i < views; i++) {
    if (pos + 4 > vector.length) return false;
    const start = pos + 4;
    pos = start + vector.readUInt32LE(pos);
    if (pos > vector.length) return false;
    rows[at + i] = pos === start ? null : vector.subarray(start, pos);
  }
  return pos === vector.length;
}
