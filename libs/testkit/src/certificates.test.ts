import { X509Certificate } from 'node:crypto';
import { expect, it } from 'vitest';
import { TestAuthority } from './certificates.js';

it('issues certificates that Node reads as they were wished for, signed by the authority and by no other', () => {
  const [authority, other] = [new TestAuthority('one'), new TestAuthority('other')];
  const notAfter = new Date('2030-05-06T07:08:09Z');
  const issued = authority.issue({ name: 'serving', hosts: ['serving.example', '10.1.2.3', 'fe80::17'], notAfter });
  const cert = new X509Certificate(issued.cert);
  expect(cert.subject).toBe('CN=serving');
  expect(cert.subjectAltName).toBe('DNS:serving.example, IP Address:10.1.2.3, IP Address:FE80:0:0:0:0:0:0:17');
  expect(cert.validToDate).toEqual(notAfter);
  expect(cert.ca).toBe(false);
  const [ca, otherCa] = [new X509Certificate(authority.cert), new X509Certificate(other.cert)];
  expect([ca.ca, cert.verify(ca.publicKey), cert.verify(otherCa.publicKey)]).toEqual([true, true, false]);
});
