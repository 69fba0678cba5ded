import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export interface SocketPair {
  /** As a server accepts it. */
  readonly near: Socket;
  readonly far: Socket;
  close(): Promise<void>;
}

/** The two ends of a connection. */
export async function socketPair(): Promise<SocketPair> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const far = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [near] = (await once(server, 'connection')) as [Socket];
  const close = async (): Promise<void> => {
    for (const socket of [near, far]) socket.destroy();
    server.close();
    await once(server, 'close');
  };
  return { near, far, close };
}
