import { type AppError } from '@headrace/base/errors';
import { CertificateFolder, TestAuthority } from '@headrace/testkit/certificates';
import { createPrivateKey } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { platformKeys, readConfig } from '../config.js';
import { plainTextWarnings } from './plain-text.js';

const folder = new CertificateFolder();
afterAll(() => folder.remove());
const authority = new TestAuthority();
const ca = folder.file('ca.pem', authority.cert);
const good = folder.write('good', authority.issue({ name: 'good' }));
const other = folder.write('other', authority.issue({ name: 'other' }));
const old = folder.write(
  'old',
  authority.issue({ name: 'old', notAfter: new Date('2020-01-02T03:04:05Z'), notBefore: new Date('2019-01-01T00:00:00Z') }),
);
const future = folder.write('future', authority.issue({ name: 'future', notBefore: new Date(Date.now() + 3_600_000) }));
const text = folder.file('text.pem', 'not PEM\n');
const locked = folder.file(
  'locked.key',
  createPrivateKey(authority.issue().key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'p' }) as string,
);

const keys = platformKeys({ httpPort: 0, grpcPort: 0, database: 'x' });

/** What the configuration says is wrong; '' = nothing. */
function mistakes(env: Record<string, string>): string {
  try {
    readConfig(keys, env);
    return '';
  } catch (error) {
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
    return (error as AppError).message;
  }
}

describe('the configuration of certificates', () => {
  it.each([
    [
      'a certificate without its key',
      { HEADRACE_TLS_CERT_FILE: good.certFile },
      /CERT_FILE=.*good.crt" needs its private key: set HEADRACE_TLS_KEY_FILE/,
    ],
    [
      'a key without its certificate',
      { HEADRACE_TLS_KEY_FILE: good.keyFile },
      /KEY_FILE=.*needs its certificate: set HEADRACE_TLS_CERT_FILE/,
    ],
    [
      'a file that is not there',
      { HEADRACE_TLS_CERT_FILE: '/nowhere.crt', HEADRACE_TLS_KEY_FILE: good.keyFile },
      /"\/nowhere.crt" cannot be read: there is no such file/,
    ],
    ['a folder', { HEADRACE_TLS_CA_FILE: folder.path }, /CA_FILE=.* cannot be read: it is a folder/],
    [
      'a key of another certificate',
      { HEADRACE_TLS_CERT_FILE: good.certFile, HEADRACE_TLS_KEY_FILE: other.keyFile },
      /other.key" does not belong to the first certificate of .*good.crt" \(CN=good\): give the key/,
    ],
    [
      'an expired certificate',
      { HEADRACE_TLS_CERT_FILE: old.certFile, HEADRACE_TLS_KEY_FILE: old.keyFile },
      /\(CN=old\) expired at 2020-01-02T03:04:05.000Z: renew it/,
    ],
    [
      'one that is not valid yet',
      { HEADRACE_TLS_CERT_FILE: future.certFile, HEADRACE_TLS_KEY_FILE: future.keyFile },
      /\(CN=future\) is not valid before .*: look at the clock/,
    ],
    [
      'a text for a certificate',
      { HEADRACE_TLS_CERT_FILE: text, HEADRACE_TLS_KEY_FILE: good.keyFile },
      /text.pem" holds no certificate in PEM/,
    ],
    ['a text for a key', { HEADRACE_TLS_CERT_FILE: good.certFile, HEADRACE_TLS_KEY_FILE: text }, /text.pem" holds no private key in PEM/],
    [
      'a locked key',
      { HEADRACE_TLS_CERT_FILE: good.certFile, HEADRACE_TLS_KEY_FILE: locked },
      /locked.key" is locked by a passphrase: give the key without one/,
    ],
    [
      'expired authorities alone',
      { HEADRACE_TLS_CA_FILE: old.certFile },
      /holds expired authorities only, the last until 2020-01-02T03:04:05.000Z: renew it/,
    ],
    [
      'authorities of callers over plain text',
      { HEADRACE_TLS_CLIENT_CA_FILE: ca },
      /CLIENT_CA_FILE=.* is set without HEADRACE_TLS_CERT_FILE: .* set both, or none/,
    ],
  ])('refuses %s, and says what to do', (_what, env, message) => {
    expect(mistakes(env as unknown as Record<string, string>)).toMatch(message);
    expect(mistakes(env as unknown as Record<string, string>)).toMatch(/^configuration has 1 mistake/);
  });

  it('takes what is right, and tells all mistakes together', () => {
    expect(
      mistakes({
        HEADRACE_TLS_CERT_FILE: good.certFile,
        HEADRACE_TLS_KEY_FILE: good.keyFile,
        HEADRACE_TLS_CLIENT_CA_FILE: ca,
        HEADRACE_TLS_CA_FILE: ca,
      }),
    ).toBe('');
    const all = mistakes({
      HEADRACE_TLS_CERT_FILE: old.certFile,
      HEADRACE_TLS_KEY_FILE: good.keyFile,
      HEADRACE_TLS_CA_FILE: text,
      HEADRACE_GRPC_PORT: 'x',
    });
    for (const each of [/GRPC_PORT/, /expired at/, /does not belong/, /CA_FILE=.*no certificate/]) expect(all).toMatch(each);
    expect(all).toMatch(/has 4 mistake/);
  });
});

describe('what crosses a network in plain text', () => {
  const config = { host: '127.0.0.1', apiKey: '', tlsCertFile: '' };
  it('is said of doors and of peers beyond loopback', () => {
    expect(plainTextWarnings({ ...config, registryGrpc: 'registry:7021' })).toEqual([]);
    expect(plainTextWarnings({ ...config, apiKey: 'k', registryGrpc: '127.0.0.1:7021', registryHttp: 'http://localhost:7020' })).toEqual(
      [],
    );
    expect(plainTextWarnings({ ...config, host: '0.0.0.0', apiKey: 'k' })).toEqual([
      expect.stringMatching(/HEADRACE_HOST=0.0.0.0 .* plain text/),
    ]);
    expect(plainTextWarnings({ ...config, host: '0.0.0.0', apiKey: 'k', tlsCertFile: 'x', registryGrpc: 'https://registry:7021' })).toEqual(
      [],
    );
    const both = plainTextWarnings({ ...config, apiKey: 'k', registryGrpc: 'registry:7021', registryHttp: 'http://registry:7020' });
    expect(both).toEqual([
      expect.stringMatching(/to HEADRACE_REGISTRY_GRPC=registry:7021, HEADRACE_REGISTRY_HTTP=http:\/\/registry:7020;/),
    ]);
  });
});
