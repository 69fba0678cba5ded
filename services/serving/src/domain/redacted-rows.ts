import type { RedactedColumn } from '@headrace/codec/predictions-logged';
import type { FeatureBlock } from '@headrace/executor/feature-block';
import type { ColumnSlot } from '@headrace/executor/input-plan';
import type { LogRules, RedactionRule, ValueTokens } from './log-rules.js';

interface HashedColumn {
  readonly tokens: ValueTokens;
  readonly slot: ColumnSlot;
  /** By row. */
  readonly written: string[];
}

/** What stands in the log in the place of values that stay out of it, for the rows of one buffer. */
export class RedactedRows {
  readonly columns: readonly RedactedColumn[];
  /** omit | hash; '' = keys as they came. */
  readonly entityRedaction: string;
  readonly #hashed: HashedColumn[] = [];
  readonly #entity: RedactionRule | undefined;

  /** @param rules undefined = nothing is redacted */
  constructor(rules: LogRules | undefined, { plan }: Pick<FeatureBlock, 'plan'>, capacity: number) {
    this.#entity = rules?.entity;
    this.entityRedaction = this.#entity ? wireNameOf(this.#entity) : '';
    this.columns = [...(rules?.redacted ?? [])].map(([name, rule]) => {
      if (rule.kind !== 'hash') return { name, redaction: wireNameOf(rule), tokens: [] };
      const written = new Array<string>(capacity).fill('');
      this.#hashed.push({ tokens: rule.tokens, slot: plan.byName.get(name)!, written });
      return { name, redaction: wireNameOf(rule), tokens: written };
    });
  }

  has(column: string): boolean {
    return this.columns.some(({ name }) => name === column);
  }

  /** Rows that were copied to the buffer: their tokens are made, and their entity keys replaced where they stand. */
  take(block: FeatureBlock, entities: string[], from: number, rows: number): void {
    for (let row = from; row < from + rows; row++) {
      for (const { tokens, slot, written } of this.#hashed) written[row] = tokens.of(valueOf(block, slot, row));
      if (this.#entity) entities[row] = this.#entity.kind === 'hash' ? this.#entity.tokens.of(entities[row]!) : '';
    }
  }
}

/** Why a column is omitted is the process's affair; a reader of the log sees that it is. */
const wireNameOf = ({ kind }: RedactionRule): string => (kind === 'hash' ? 'hash' : 'omit');

function valueOf(block: FeatureBlock, { kind, at }: ColumnSlot, row: number): number | string {
  switch (kind) {
    case 'number':
      return block.numbers[row * block.width + at]!;
    case 'extraNumber':
      return block.extraNumbers[row * block.extraWidth + at]!;
    case 'text':
      return block.texts[at]![row]!;
    case 'extraText':
      return block.extraTexts[at]![row]!;
  }
}
