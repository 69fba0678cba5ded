import type { HeaderFields } from './hpack-decoder.js';

/** Connection-level fields that HTTP/2 forbids (RFC 9113 section 8.2.2). */
const FORBIDDEN = new Set(['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade']);
const REQUEST_PSEUDO = new Set([':method', ':scheme', ':path', ':authority']);
const NO_PSEUDO: ReadonlySet<string> = new Set();
const RESPONSE_PSEUDO = new Set([':status']);

/** What makes a request header block malformed (RFC 9113 section 8.1.1), or undefined. */
export function faultOfRequest(fields: HeaderFields): string | undefined {
  const fault = faultOfFields(fields, REQUEST_PSEUDO);
  if (fault !== undefined) return fault;
  for (const required of [':method', ':scheme', ':path']) {
    const value = valueOf(fields, required);
    if (value === undefined) return `no ${required}`;
    if (value === '') return `empty ${required}`;
  }
  return undefined;
}

export function faultOfResponse(fields: HeaderFields): string | undefined {
  return faultOfFields(fields, RESPONSE_PSEUDO) ?? (/^[1-5][0-9][0-9]$/.test(valueOf(fields, ':status') ?? '') ? undefined : 'no :status');
}

export function faultOfTrailers(fields: HeaderFields): string | undefined {
  return faultOfFields(fields, NO_PSEUDO);
}

/** The first value of a field. */
export function valueOf(fields: HeaderFields, name: string): string | undefined {
  for (let i = 0; i < fields.count; i++) if (fields.names[i] === name) return fields.values[i];
  return undefined;
}

function faultOfFields(fields: HeaderFields, pseudo: ReadonlySet<string>): string | undefined {
  let regularSeen = false;
  for (let i = 0; i < fields.count; i++) {
    const name = fields.names[i]!;
    const value = fields.values[i]!;
    if (name.charCodeAt(0) === COLON) {
      if (!pseudo.has(name)) return `pseudo-header ${name}`;
      if (regularSeen) return `${name} behind a regular field`;
      if (fields.names.indexOf(name) !== i) return `${name} twice`;
      if (FORBIDDEN_IN_VALUE.test(value)) return `a control character in ${name}`;
      continue;
    }
    regularSeen = true;
    if (!FIELD_NAME.test(name)) return 'a field name that is empty, not lower case, or has forbidden characters';
    if (FORBIDDEN.has(name)) return `field ${name}`;
    if (name === 'te' && value !== 'trailers') return 'te other than trailers';
    if (FORBIDDEN_IN_VALUE.test(value)) return `a control character in ${name}`;
  }
  return undefined;
}

const COLON = 0x3a;
/** Tokens of RFC 9110 section 5.6.2 in lower case. */
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;

const FORBIDDEN_IN_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;
