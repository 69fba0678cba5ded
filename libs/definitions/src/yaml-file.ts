import { AppError } from '@headrace/base/errors';
import { isCollection, isPair, isScalar, LineCounter, parseAllDocuments, type Document, type Node } from 'yaml';
import { readDefinition, type Definition } from './definition.js';
import { faultText, type DocumentFault } from './document-faults.js';

export interface DefinitionsFile {
  /** Path as the user wrote it. */
  readonly file: string;
  readonly text: string;
}

/** A definition with the place where it begins: `file:line`. */
export interface PlacedDefinition {
  readonly definition: Definition;
  readonly at: string;
}

/** All definitions of one YAML file. @throws AppError DEFINITION_INVALID */
export function parseDefinitionsFile(text: string, file: string): Definition[] {
  return parseDefinitionsFiles([{ file, text }]).map(({ definition }) => definition);
}

/** All definitions of some YAML files. @throws AppError DEFINITION_INVALID with every mistake of all files, each as `file:line: what` */
export function parseDefinitionsFiles(files: readonly DefinitionsFile[]): PlacedDefinition[] {
  const definitions: PlacedDefinition[] = [];
  const faults: string[] = [];
  for (const file of files) readFile(file, definitions, faults);
  if (faults.length > 0) throw new AppError('DEFINITION_INVALID', faults.join('\n'));
  return definitions;
}

function readFile({ file, text }: DefinitionsFile, definitions: PlacedDefinition[], faults: string[]): void {
  const lines = new LineCounter();
  const at = (offset: number): string => `${file}:${lines.linePos(offset).line}`;
  for (const document of parseAllDocuments(text, { lineCounter: lines, prettyErrors: true })) {
    if (document.errors.length > 0) {
      faults.push(...document.errors.map((error) => `${at(error.pos[0])}: ${error.message}`));
      continue;
    }
    const value: unknown = document.toJS();
    if (value === null || value === undefined) continue;
    const start = document.contents?.range?.[0] ?? 0;
    const read = readDefinition(value);
    if ('definition' in read) definitions.push({ definition: read.definition, at: at(start) });
    else {
      const placed = read.faults.map((fault) => ({ offset: offsetOf(document, fault, start), text: read.about + faultText(fault) }));
      faults.push(...placed.sort((a, b) => a.offset - b.offset).map(({ offset, text: fault }) => `${at(offset)}: ${fault}`));
    }
  }
}

/** Where the deepest part of the path stands that the document has. */
function offsetOf({ contents }: Document.Parsed, { path }: DocumentFault, start: number): number {
  let node: Node | null = contents;
  let offset = start;
  for (const key of path) {
    if (!isCollection(node)) break;
    const item: unknown =
      node.items.find((candidate) => isPair(candidate) && isScalar(candidate.key) && candidate.key.value === key) ??
      (typeof key === 'number' ? node.items[key] : undefined);
    const [named, value] = isPair<Node, Node | null>(item) ? [item.key, item.value] : [item as Node | undefined, item as Node | undefined];
    if (!named?.range) break;
    offset = named.range[0];
    node = value ?? null;
  }
  return offset;
}
