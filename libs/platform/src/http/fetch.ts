import type { LiveTlsMaterial } from '@headrace/wire/tls-material';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';

export type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

/** An answer with one of these has no body, and `Response` refuses to be made with one. */
const WITHOUT_BODY = new Set([101, 204, 205, 304]);

/**
 * `fetch` that trusts the authorities and shows the certificate of `tls` to `https:` addresses; Node's own can do neither for one call. Redirects are not followed; each call is a
 * connection of its own, so that renewed certificates hold from the next call on.
 */
export function fetchOver(tls: LiveTlsMaterial): Fetch {
  return async (url, init) => {
    if (!/^https:/i.test(url)) return fetch(url, init);
    const request = new Request(url, init);
    const headers = Object.fromEntries(request.headers);
    if (init?.body instanceof Blob) headers['content-length'] = String(init.body.size);
    const answer = await send(
      url,
      { ...tls.material, agent: false, method: request.method, headers, signal: request.signal },
      request.body,
    );
    const status = answer.statusCode ?? 0;
    const fields = Object.entries(answer.headersDistinct).flatMap(([name, values = []]) =>
      values.map((value) => [name, value] as [string, string]),
    );
    if (WITHOUT_BODY.has(status)) answer.resume();
    const body = WITHOUT_BODY.has(status) ? null : (Readable.toWeb(answer) as unknown as Blob);
    return new Response(body, { status, headers: fields });
  };
}

/** A server may answer before it has read all; the answer counts then, and not that the rest could not be sent. */
function send(url: string, options: RequestOptions, body: Request['body']): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(url, options, resolve);
    sent.once('error', reject);
    if (body === null) sent.end();
    else pipeline(Readable.fromWeb(body as ReadableStream), sent).catch(reject);
  });
}
