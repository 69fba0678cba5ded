import { AppError } from '@headrace/base/errors';
import { LineCounter, parseAllDocuments } from 'yaml';
import { parseDefinition, type Definition } from './definition.js';

/** All definitions of one YAML file; every message starts with `file:line`. @throws AppError DEFINITION_INVALID */
export function parseDefinitionsFile(text: string, file: string): Definition[] {
  const lines = new LineCounter();
  const definitions: Definition[] = [];
  for (const document of parseAllDocuments(text, { lineCounter: lines, prettyErrors: true })) {
    const at = (offset: number): string => `${file}:${lines.linePos(offset).line}`;
    const [fault] = document.errors;
    if (fault) throw new AppError('DEFINITION_INVALID', `${at(fault.pos[0])}: ${fault.message}`);
    const value: unknown = document.toJS();
    if (value === null) continue;
    definitions.push(parseDefinition(value, at(document.contents?.range?.[0] ?? 0)));
  }
  return definitions;
}
