/** A field beyond this is a missing quote, not data. UTF-16 units. */
const FIELD_MAX = 1_048_576;

/** CSV as RFC 4180 has it: fields may stand in double quotes, and then hold commas, line ends and doubled quotes. Text comes in any pieces. */
export class CsvRecords {
  #field = '';
  #record: string[] = [];
  #state: 'field' | 'quoted' | 'quote-in-quoted' = 'field';
  #lastWasReturn = false;

  /** @returns the records that end in this piece. @throws Error on a field without end */
  push(text: string): string[][] {
    const records: string[][] = [];
    for (const char of text) {
      if (this.#state === 'quoted') {
        if (char === '"') this.#state = 'quote-in-quoted';
        else this.#add(char);
        continue;
      }
      if (this.#state === 'quote-in-quoted' && char === '"') {
        this.#add('"');
        this.#state = 'quoted';
        continue;
      }
      this.#state = 'field';
      const endsReturn = this.#lastWasReturn && char === '\n';
      this.#lastWasReturn = char === '\r';
      if (endsReturn) continue;
      if (char === '"' && this.#field === '') this.#state = 'quoted';
      else if (char === ',') this.#endField();
      else if (char === '\n' || char === '\r') this.#endRecord(records);
      else this.#add(char);
    }
    return records;
  }

  /** The last record, when no line end follows it. @throws Error when a quote is never closed */
  end(): string[][] {
    if (this.#state === 'quoted') throw new Error('the file ends inside a quoted field');
    const records: string[][] = [];
    this.#endRecord(records);
    return records;
  }

  #add(char: string): void {
    if (this.#field.length >= FIELD_MAX) throw new Error(`a field has more than ${FIELD_MAX} characters; a closing quote may be missing`);
    this.#field += char;
  }

  #endField(): void {
    this.#record.push(this.#field);
    this.#field = '';
  }

  /** Empty lines are no records. */
  #endRecord(records: string[][]): void {
    if (this.#field === '' && this.#record.length === 0) return;
    this.#endField();
    records.push(this.#record);
    this.#record = [];
  }
}
