import type { z } from 'zod';

/** One mistake in a document: where, what, and what to do about it. */
export interface DocumentFault {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** All mistakes that the schema found, each in words that say how to mend it. */
export function documentFaults(schema: z.ZodType, document: unknown, error: z.ZodError): DocumentFault[] {
  return error.issues.flatMap((issue) => faultsOf(schema, document, issue));
}

export function faultText({ path, message }: DocumentFault): string {
  return `${path.length > 0 ? path.join('.') : '(top level)'}: ${message}`;
}

function faultsOf(schema: z.ZodType, document: unknown, issue: z.core.$ZodIssue): DocumentFault[] {
  const { path } = issue;
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = keysAt(schema, path, document);
      return issue.keys.map((key) => ({ path: [...path, key], message: `unknown key; ${knownText(key, known)}` }));
    }
    case 'invalid_type':
      return valueAt(document, path) === undefined
        ? [{ path, message: `is missing; add it (${issue.expected})` }]
        : [{ path, message: `${issue.expected} wanted, not ${shown(valueAt(document, path))}` }];
    case 'invalid_value':
      return [{ path, message: `${shown(valueAt(document, path))} is none of: ${issue.values.join(', ')}` }];
    case 'invalid_union':
      return [{ path, message: missing(document, path) ?? unionText(issue) }];
    case 'custom':
      return [{ path, message: issue.message }];
    default:
      return [{ path, message: missing(document, path) ?? issue.message }];
  }
}

function missing(document: unknown, path: readonly PropertyKey[]): string | undefined {
  return path.length > 0 && valueAt(document, path) === undefined ? 'is missing; add it' : undefined;
}

/** A discriminated union names what it knows; of a plain one the branch with the fewest complaints is the one that was meant. */
function unionText(issue: z.core.$ZodIssueInvalidUnion): string {
  const nearest = [...issue.errors].sort((a, b) => a.length - b.length)[0];
  if (issue.message !== 'Invalid input' || !nearest || nearest.length === 0) return issue.message;
  return nearest.map((inner) => (inner.path.length > 0 ? `${inner.path.join('.')}: ${inner.message}` : inner.message)).join('; ');
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

function valueAt(document: unknown, path: readonly PropertyKey[]): unknown {
  let value = document;
  for (const key of path) value = typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined;
  return value;
}

function knownText(key: string, known: readonly string[]): string {
  if (known.length === 0) return 'remove it';
  const near = known.find((candidate) => distance(candidate.toLowerCase(), key.toLowerCase()) <= 2);
  return near ? `did you mean ${near}?` : `remove it, or take one of ${known.join(', ')}`;
}

/** Keys of the object that the schema wants at the path. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[], document: unknown): string[] {
  let at: Inner | undefined = unwrap(schema as unknown as Inner, document);
  let value = document;
  for (const key of path) {
    value = valueAt(value, [key]);
    const next: Inner | undefined = at?.def.type === 'array' ? at.def.element : (at?.def.shape?.[String(key)] ?? at?.def.valueType);
    at = next && unwrap(next, value);
  }
  return Object.keys(at?.def.shape ?? {});
}

/** What zod keeps of a schema, as far as it is walked here. */
interface Inner {
  readonly def: {
    readonly type: string;
    readonly shape?: Record<string, Inner>;
    readonly element?: Inner;
    readonly innerType?: Inner;
    readonly in?: Inner;
    readonly valueType?: Inner;
    readonly options?: readonly Inner[];
  };
}

function unwrap(schema: Inner, value: unknown): Inner {
  const { innerType, in: input, options } = schema.def;
  const inner = innerType ?? input ?? options?.find((option) => isMeant(option, value));
  return inner ? unwrap(inner, value) : schema;
}

/** Of a union of objects: the one whose `kind` the document names. */
function isMeant(option: Inner, value: unknown): boolean {
  const kind = unwrap(option, value).def.shape?.['kind'] as unknown as z.ZodType | undefined;
  return typeof value === 'object' && value !== null && (kind === undefined || kind.safeParse((value as { kind?: unknown }).kind).success);
}

/** Edits between two short words (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}
