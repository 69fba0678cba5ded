/** Longest text that a pattern is tried on: backtracking of the patterns that are let through is at most cubic in it. */
export const PATTERN_TEXT_MAX = 256;

/**
 * Why a regular expression is not taken, or undefined. JavaScript's engine backtracks, so what can take exponential time is refused:
 * a repeat around a repeat or around a choice, back references, looking around; and more than three open-ended repeats.
 */
export function patternFault(pattern: string): string | undefined {
  try {
    // As it is: wrapped, `a)(b` would be one.
    new RegExp(pattern, 'u');
  } catch {
    return `${JSON.stringify(pattern)} is no regular expression; correct it`;
  }
  if (/\(\?<?[=!]/.test(pattern)) return 'looking ahead or behind is not supported; write it without (?= (?! (?<= (?<!';
  if (/\\([1-9]|k<)/.test(pattern)) return 'back references are not supported; write it without \\1 or \\k<name>';
  return repeatFault(pattern);
}

/** Matches the whole text, as a form field does. @throws SyntaxError */
export function compilePattern(pattern: string): RegExp {
  return new RegExp(`^(?:${pattern})$`, 'u');
}

interface Group {
  hasRepeat: boolean;
  hasChoice: boolean;
}

const OPEN_REPEATS_MAX = 3;

function repeatFault(pattern: string): string | undefined {
  const groups: Group[] = [{ hasRepeat: false, hasChoice: false }];
  let closed: Group | undefined;
  let openRepeats = 0;
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i]!;
    const repeat = /^(?:[*+?]|\{\d+(?:,\d*)?\})/.exec(pattern.slice(i))?.[0];
    if (repeat !== undefined && !(char === '?' && pattern[i - 1] === '(')) {
      if (closed && repeat !== '?' && (closed.hasRepeat || closed.hasChoice))
        return 'a repeat around a repeat or a choice can take for ever; write it flat, such as [a-z0-9]+ for ([a-z]+|[0-9]+)+';
      groups.at(-1)!.hasRepeat ||= repeat !== '?';
      if (repeat === '*' || repeat === '+' || repeat.endsWith(',}')) openRepeats++;
      i += repeat.length - 1;
      if (pattern[i + 1] === '?') i++;
      closed = undefined;
      continue;
    }
    closed = undefined;
    if (char === '\\') i++;
    else if (char === '[') i = endOfClass(pattern, i);
    else if (char === '|') groups.at(-1)!.hasChoice = true;
    else if (char === '(') groups.push({ hasRepeat: false, hasChoice: false });
    else if (char === ')') {
      closed = groups.pop()!;
      groups.at(-1)!.hasRepeat ||= closed.hasRepeat;
      groups.at(-1)!.hasChoice ||= closed.hasChoice;
    }
  }
  return openRepeats > OPEN_REPEATS_MAX ? `more than ${OPEN_REPEATS_MAX} of * + {n,}; bound some of them, such as {1,20}` : undefined;
}

function endOfClass(pattern: string, from: number): number {
  for (let i = from + 1; i < pattern.length; i++) {
    if (pattern[i] === '\\') i++;
    else if (pattern[i] === ']') return i;
  }
  return pattern.length;
}
