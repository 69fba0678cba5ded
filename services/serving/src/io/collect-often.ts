import { setFlagsFromString } from 'node:v8';

/** Percent of the young generation at which V8 collects it in an idle moment; its default is 80. */
const MINOR_GC_TRIGGER_PERCENT = 20;

/**
 * What TLS reads and ONNX Runtime answers lies outside of V8's heap, and is freed only when the small objects that hold it are collected. A request leaves so little
 * garbage that the young generation fills once in seconds; by then a hundred MB may lie outside, and V8 marks the whole heap to be rid of them: a fifth of
 * a core, and pauses of 13 to 28 ms (measured). Collected earlier, at 1 to 2 ms each, they never pile up. V8 reads the threshold
 * anew for each collection, so that it may be set while the process runs.
 */
export function collectOften(): void {
  setFlagsFromString(`--minor-gc-task-trigger=${MINOR_GC_TRIGGER_PERCENT}`);
}
