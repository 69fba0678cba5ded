import type { RedactedTokens } from '@headrace/codec/predictions-logged';
import { TextList } from '@headrace/codec/text-list';
import type { FeatureBlock } from '@headrace/executor/feature-block';
import type { ColumnSlot, InputPlan } from '@headrace/executor/input-plan';
import type { LogRules, RedactionRule, ValueTokens } from './log-rules.js';

interface HashedColumn {
  readonly tokens: ValueTokens;
  readonly slot: ColumnSlot;
  readonly written: TextList;
}

/** What stands in the log in the place of values that stay out of it, for the rows of one buffer. */
export class RedactedRows {
  readonly columns: readonly RedactedTokens[];
  /** omit | hash; '' = keys as they came. */
  readonly entityRedaction: string;
  readonly #hashed: HashedColumn[] = [];
  readonly #entity: RedactionRule | undefined;

  /** @param rules undefined = nothing is redacted */
  constructor(rules: LogRules | undefined, plan: InputPlan) {
    this.#entity = rules?.entity;
    this.entityRedaction = this.#entity ? wireNameOf(this.#entity) : '';
    this.columns = [...(rules?.redacted ?? [])].map(([name, rule]) => {
      if (rule.kind !== 'hash') return { name, redaction: wireNameOf(rule), tokens: undefined };
      const written = new TextList(3);
      this.#hashed.push({ tokens: rule.tokens, slot: plan.byName.get(name)!, written });
      return { name, redaction: wireNameOf(rule), tokens: written };
    });
  }

  has(column: string): boolean {
    return this.columns.some(({ name }) => name === column);
  }

  /** Makes the tokens of rows as they were served. */
  take(block: FeatureBlock, from: number, rows: number): void {
    for (const { tokens, slot, written } of this.#hashed)
      for (let row = from; row < from + rows; row++) written.push(tokens.of(valueOf(block, slot, row)));
  }

  /** What stands for the key of an entity. */
  entityOf(key: string): string {
    if (!this.#entity) return key;
    return this.#entity.kind === 'hash' ? this.#entity.tokens.of(key) : '';
  }

  clear(): void {
    for (const { written } of this.#hashed) written.clear();
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
