import { exchange, unavailable } from '../exchange.js';

export interface RedisProbe {
  /** Default 2,000. */
  readonly timeoutMs?: number;
  /** The process that must be the one that answers: a stranger may have taken the port. */
  readonly pid?: number;
}

/** AUTH when the URL has a password, then PING (or INFO, which names the process). Rejects with the reason when Redis doesn't answer well. */
export async function probeRedis(url: string, { timeoutMs = 2_000, pid }: RedisProbe = {}): Promise<void> {
  const { hostname, port, username, password, protocol } = new URL(url);
  const address = `${hostname}:${port || '6379'}`;
  const auth = password === '' ? [] : [['AUTH', ...(username === '' ? [] : [decodeURIComponent(username)]), decodeURIComponent(password)]];
  const request = [...auth, pid === undefined ? ['PING'] : ['INFO', 'server']].map(respCommand).join('');
  const good = pid === undefined ? /^\+PONG\r\n/m : /^process_id:(\d+)\r\n/m;
  const complete = (bytes: Buffer): boolean => good.test(bytes.toString('latin1')) || /^-.*\r\n/m.test(bytes.toString('latin1'));
  const answer = (await exchange(address, Buffer.from(request), complete, { timeoutMs, tls: protocol === 'rediss:' })).toString('latin1');
  const match = good.exec(answer);
  if (match === null) throw unavailable(address, answer.trim());
  if (pid !== undefined && Number(match[1]) !== pid) throw unavailable(address, `process ${match[1]} answers, not ours (${pid})`);
}

function respCommand(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}
