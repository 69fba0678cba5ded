import { describe, expect, it } from 'vitest';
import { parsePeerAddress, peerAddress, portOf } from './peer-address.js';

describe('the address of a gRPC door', () => {
  it.each([
    ['127.0.0.1:7041', '127.0.0.1:7041', false],
    ['http://serving:7041', 'serving:7041', false],
    ['https://serving.ml.example:7041', 'serving.ml.example:7041', true],
    ['HTTPS://serving:7041/', 'serving:7041', true],
    ['https://[::1]:7041', '[::1]:7041', true],
    ['dns:///serving:7041', 'dns:///serving:7041', false],
  ])('%s is %s, TLS %s', (address, target, isTls) => expect(parsePeerAddress(address)).toEqual({ target, isTls }));

  it.each(['https://serving', 'https://serving:7041/path', 'https://user@serving:7041', 'http://:7041', 'https://'])(
    'refuses %s',
    (address) => expect(() => parsePeerAddress(address)).toThrow(/write host:port, http:\/\/host:port or https:\/\/host:port/),
  );

  it('is written as it is read', () => {
    expect(parsePeerAddress(peerAddress('a:1', true))).toEqual({ target: 'a:1', isTls: true });
    expect([portOf('a:17'), portOf('https://[::1]:19')]).toEqual([17, 19]);
  });
});
