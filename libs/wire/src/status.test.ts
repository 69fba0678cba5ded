import { AppError } from '@headrace/base/errors';
import { expect, it } from 'vitest';
import { Metadata } from './metadata.js';
import { timeoutMsOf, timeoutText } from './request-head.js';
import {
  decodeStatusMessage,
  encodeStatusMessage,
  GrpcError,
  Status,
  statusFromNumber,
  statusOfHttp,
  statusOfReset,
  toGrpcError,
} from './status.js';

it('any text goes through grpc-message and back, as printable ASCII', () => {
  for (const text of ['', 'plain text', '100 % é 語 😀', 'line\nbreak\ttab', '%41']) {
    const encoded = encodeStatusMessage(text);
    expect(encoded).toMatch(/^[ -~]*$/);
    expect(decodeStatusMessage(encoded)).toBe(text);
  }
  expect(encodeStatusMessage('é%')).toBe('%C3%A9%25');
  expect(decodeStatusMessage('broken %zz %4')).toBe('broken %zz %4');
});

it('coded errors become statuses by their kind, and defects say nothing of our insides', () => {
  expect(toGrpcError(new AppError('OVERLOADED', 'full'))).toMatchObject({ code: Status.RESOURCE_EXHAUSTED, message: 'full' });
  expect(toGrpcError(new TypeError('secret path /etc'))).toMatchObject({
    code: Status.INTERNAL,
    message: expect.not.stringContaining('secret'),
  });
  const own = new GrpcError(Status.ABORTED, 'x');
  expect(toGrpcError(own)).toBe(own);
});

it('statuses that come from elsewhere are translated as the gRPC documents say', () => {
  expect([statusFromNumber(16), statusFromNumber(17), statusFromNumber(NaN)]).toEqual([
    Status.UNAUTHENTICATED,
    Status.UNKNOWN,
    Status.UNKNOWN,
  ]);
  expect([statusOfReset(7), statusOfReset(8), statusOfReset(11), statusOfReset(12), statusOfReset(1)]).toEqual([
    Status.UNAVAILABLE,
    Status.CANCELLED,
    Status.RESOURCE_EXHAUSTED,
    Status.PERMISSION_DENIED,
    Status.INTERNAL,
  ]);
  expect([statusOfHttp('404'), statusOfHttp('503'), statusOfHttp('500')]).toEqual([
    Status.UNIMPLEMENTED,
    Status.UNAVAILABLE,
    Status.UNKNOWN,
  ]);
});

it('timeouts are read in every unit and written so that the server waits at least as long as the client', () => {
  expect([timeoutMsOf('2H'), timeoutMsOf('3M'), timeoutMsOf('4S'), timeoutMsOf('5m'), timeoutMsOf('6u'), timeoutMsOf('99999999n')]).toEqual(
    [7_200_000, 180_000, 4000, 5, 0.006, 99.999999],
  );
  for (const bad of ['', '5', 'm', '-1m', '123456789m', '1.5S', '5s', '5 m']) expect(timeoutMsOf(bad)).toBeUndefined();
  for (const ms of [0, 0.3, 1, 99.9, 99_999, 100_000.5, 1e8, 1e10]) {
    const text = timeoutText(ms);
    expect(text).toMatch(/^[0-9]{1,8}[umS]$/);
    expect(timeoutMsOf(text)).toBeGreaterThanOrEqual(ms);
  }
});

it('metadata keeps order and repeats, knows bytes by their name, and refuses what is not its own', () => {
  const metadata = Metadata.of([
    ['X-A', 'one'],
    ['x-a', 'two'],
    ['x-b-bin', Uint8Array.from([1])],
  ]);
  expect([...metadata]).toEqual([
    ['x-a', 'one'],
    ['x-a', 'two'],
    ['x-b-bin', Uint8Array.from([1])],
  ]);
  expect([metadata.getAll('x-a'), metadata.text('x-b-bin'), metadata.size]).toEqual([['one', 'two'], undefined, 3]);
  for (const [name, value] of [
    ['grpc-status', '0'],
    [':path', '/'],
    ['te', 'x'],
    ['a b', 'x'],
    ['', 'x'],
    ['x', 'é'],
    ['x', 'a\nb'],
    ['x-bin', 'text'],
    ['x', Uint8Array.from([1])],
  ] as const) {
    expect(() => new Metadata().add(name, value)).toThrow(AppError);
  }
  expect([...Metadata.fromFields([':path', 'x-bin', 'grpc-timeout'], ['/', 'AQ==,Ag', '1m'], 3)]).toEqual([
    ['x-bin', Buffer.from([1])],
    ['x-bin', Buffer.from([2])],
  ]);
});
