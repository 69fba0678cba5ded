import { createReadStream } from 'node:fs';
import { requestInvalid } from '../errors.js';

/** A record longer than this is a quote that was never closed. */
const RECORD_CHARS_MAX = 1_000_000;

const SIMPLE = /[^",\r\n\uFEFF]/;
const PLAIN_END = /[,\r\n]/g;

/** Records of a CSV file (RFC 4180), in batches; memory is one chunk of the file and one batch. */
export async function* readCsv(path: string, batchRecords: number): AsyncGenerator<string[][]> {
  let batch: string[][] = [];
  let record: string[] = [];
  let field = '';
  let state: 'start' | 'plain' | 'quoted' | 'quote' = 'start';
  let chars = 0;
  const endField = (): void => {
    record.push(field);
    field = '';
    state = 'start';
  };
  const endRecord = (): void => {
    endField();
    // An empty line is no record.
    if (record.length > 1 || record[0] !== '') batch.push(record);
    record = [];
    chars = 0;
  };
  for await (const chunk of createReadStream(path, { encoding: 'utf8', highWaterMark: 256 * 1024 })) {
    const text = chunk as string;
    for (let i = 0; i < text.length; i++) {
      const c = text[i]!;
      if (++chars > RECORD_CHARS_MAX)
        throw requestInvalid(`a record of the CSV frame has more than ${RECORD_CHARS_MAX} characters; is a quote left open?`);
      if (state === 'quoted') {
        if (c === '"') state = 'quote';
        else field += c;
      } else if (c === '"' && (state === 'start' || state === 'quote')) {
        if (state === 'quote') field += c;
        state = 'quoted';
      } else if (state === 'start' && SIMPLE.test(c)) {
        // Most fields are plain: taken in one slice.
        PLAIN_END.lastIndex = i;
        const end = PLAIN_END.exec(text)?.index ?? text.length;
        field = text.slice(i, end);
        chars += end - i - 1;
        i = end - 1;
        state = 'plain';
      } else if (c === ',') endField();
      else if (c === '\n') {
        endRecord();
        if (batch.length >= batchRecords) {
          yield batch;
          batch = [];
        }
      } else if (c !== '\r' && c !== '\uFEFF') {
        field += c;
        state = 'plain';
      }
    }
  }
  if (state === 'quoted') throw requestInvalid('the CSV frame ends inside a quoted field');
  if (field !== '' || record.length > 0) endRecord();
  if (batch.length > 0) yield batch;
}
