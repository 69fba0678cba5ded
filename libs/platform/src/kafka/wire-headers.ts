import type { WireHeaders } from '@headrace/events/envelope';

const utf8 = new TextDecoder('utf-8', { fatal: true });
/** Suffix under which a header that is not text is kept. */
const BINARY_SUFFIX = '.base64';

/** Of a name that stands more than once the last value counts. A value that is not UTF-8 is kept in base64 under `<name>.base64`. */
export function decodeHeaders(entries: Iterable<readonly [name: string, value: Uint8Array | string]>): WireHeaders {
  const headers: WireHeaders = Object.create(null) as WireHeaders;
  for (const [name, value] of entries) {
    if (typeof value === 'string') headers[name] = value;
    else {
      try {
        headers[name] = utf8.decode(value);
      } catch {
        headers[name + BINARY_SUFFIX] = Buffer.from(value).toString('base64');
      }
    }
  }
  return headers;
}
