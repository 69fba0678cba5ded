import { AppError } from './errors.js';

/** Where a gRPC door is, and whether it is spoken to by TLS: the address alone says it. */
export interface PeerAddress {
  /** `host:port`, or what stood there when it was no URL. */
  readonly target: string;
  readonly isTls: boolean;
}

/**
 * `https://host:port` = TLS; `http://host:port` and `host:port` = plain text. Anything with another scheme (`dns:///name:port`) is a target of
 * grpc-js in plain text. @throws AppError CONFIG_INVALID
 */
export function parsePeerAddress(address: string): PeerAddress {
  if (!/^https?:\/\//i.test(address)) return { target: address, isTls: false };
  const isTls = /^https:/i.test(address);
  const rest = address.slice(address.indexOf('//') + 2).replace(/\/$/, '');
  if (!/^(\[[0-9a-f:.%]+\]|[^\s:/?#@[\]]+):\d{1,5}$/i.test(rest))
    throw new AppError('CONFIG_INVALID', `${address} is no address of a gRPC door: write host:port, http://host:port or https://host:port`);
  return { target: rest, isTls };
}

/** An address that says by itself how to speak to it. @param target `host:port` */
export function peerAddress(target: string, isTls: boolean): string {
  return isTls ? `https://${target}` : target;
}

/** The number behind the last colon. */
export function portOf(address: string): number {
  const { target } = parsePeerAddress(address);
  return Number(target.slice(target.lastIndexOf(':') + 1));
}
