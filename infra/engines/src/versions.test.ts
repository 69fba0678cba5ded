import { expect, it } from 'vitest';
import { javaVersion } from './kafka/find-java.js';
import { postgresVersion } from './postgres/find-postgres.js';
import { redisVersion } from './redis/find-redis.js';
import { atLeast } from './versions.js';

it('compares versions by their parts, not as text', () => {
  expect([atLeast('10.2', '9.10'), atLeast('6.2.14', '6.2'), atLeast('6', '6.2'), atLeast('6.0.16', '6.2'), atLeast('17', '17')]).toEqual([
    true,
    true,
    false,
    false,
    true,
  ]);
});

it('reads the version that each program says', () => {
  expect(redisVersion('Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d7c971a948f0')).toBe('7.0.15');
  expect(redisVersion('Valkey server v=8.1.1 sha=00000000:1 malloc=jemalloc-5.3.0 bits=64 build=0')).toBe('8.1.1');
  expect(postgresVersion('postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)')).toBe('15.18');
  expect(postgresVersion('postgres (PostgreSQL) 18.4')).toBe('18.4');
  expect(javaVersion('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment (build 17.0.15+6)')).toBe('17.0.15');
  expect(javaVersion('Picked up JAVA_TOOL_OPTIONS: -Dx=1\nopenjdk version "25" 2025-09-16')).toBe('25');
  expect(javaVersion('java version "1.8.0_292"')).toBe('1.8.0');
});

it('takes an answer of something else for no version', () => {
  expect([redisVersion('command not found'), postgresVersion(''), javaVersion('Unable to locate a Java Runtime')]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});
