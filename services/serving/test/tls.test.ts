import { fetchOver } from '@headrace/platform/http/fetch';
import { CertificateFolder, TestAuthority } from '@headrace/testkit/certificates';
import { eventually } from '@headrace/testkit/eventually';
import { freePort } from '@headrace/testkit/free-port';
import { LiveTlsMaterial } from '@headrace/wire/tls-material';
import { mkdtemp, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Harness } from './harness.js';
import { logistic } from './peers.js';
import { PredictClient } from './predict-client.js';
import { ServingProcess } from './serving-process.js';

const ROW = [1, 2, 3] as const;
const RENEWALS = 5;

describe('two serving processes on one port that speak TLS', () => {
  const authority = new TestAuthority();
  const folder = new CertificateFolder();
  const tls = new LiveTlsMaterial({ ca: Buffer.from(authority.cert) });
  let h: Harness;
  let two: ServingProcess;
  let state: string;
  beforeAll(async () => {
    h = await Harness.start();
    h.peers.addLogistic('m', 1, 0.5);
    h.peers.setChampion('m', 1);
    state = await mkdtemp(join(tmpdir(), 'headrace-tls-'));
    const { certFile, keyFile } = folder.write('door', authority.issue({ name: 'door 0' }));
    two = await ServingProcess.start(
      {
        ...h.config,
        ...{ processes: 2, stateDir: state, instance: 'tls', logLevel: 'warn', httpPort: await freePort(), grpcPort: await freePort() },
        ...{ tlsCertFile: certFile, tlsKeyFile: keyFile, tlsReloadMs: 100 },
      },
      fetchOver(tls),
    );
  });
  afterAll(async () => {
    expect(await two.stop()).toBe(0);
    await h.close();
    folder.remove();
    await rm(state, { recursive: true, force: true });
  });

  /** Callers that make a new connection every ten calls, so that handshakes meet renewals and drains. */
  function load(callers: number): { answered: number; failures: unknown[]; stop(): Promise<void> } {
    const result = { answered: 0, failures: [] as unknown[], stop: () => Promise.resolve() };
    let isStopped = false;
    const running = Array.from({ length: callers }, async () => {
      while (!isStopped) {
        const client = PredictClient.overWire(two.grpcAddress, {}, authority.cert);
        for (let i = 0; i < 10 && !isStopped; i++) {
          try {
            const { rows } = await client.predict({ model: 'm', dense: [[...ROW]] });
            expect(rows[0]!.score).toBeCloseTo(logistic(...ROW, 0.5), 5);
            result.answered++;
          } catch (error) {
            result.failures.push(error);
          }
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        client.close();
      }
    });
    result.stop = async () => {
      isStopped = true;
      await Promise.all(running);
    };
    return result;
  }

  /** Names that new connections are shown; the kernel deals twenty of them to both processes. */
  async function shown(): Promise<Set<string>> {
    const names = Array.from({ length: 20 }, async () => {
      const { port } = new URL(two.grpcAddress);
      const socket = connect({ host: '127.0.0.1', port: Number(port), ca: authority.cert, ALPNProtocols: ['h2'] });
      await once(socket, 'secureConnect');
      const { CN } = socket.getPeerCertificate().subject as unknown as { CN: string };
      socket.destroy();
      return CN;
    });
    return new Set(await Promise.all(names));
  }

  it('say addresses that name the protocol, and when their certificates are over', async () => {
    expect([two.grpcAddress, two.httpUrl]).toEqual([expect.stringMatching(/^https:/), expect.stringMatching(/^https:/)]);
    expect(await two.metrics()).toMatch(/^headrace_processes_ready\{service="serving"\} 2$/m);
    expect((await two.byProcess('headrace_tls_not_after_timestamp_seconds')).size).toBe(2);
  });

  it('take renewed certificates under load, each by itself, and no call fails', async () => {
    const all = load(8);
    for (let i = 1; i <= RENEWALS; i++) {
      const answered = all.answered;
      folder.write('door', authority.issue({ name: `door ${i}` }));
      await eventually('both show it', async () => expect([...(await shown())]).toEqual([`door ${i}`]), { withinMs: 20_000 });
      await eventually('calls go on', () => all.answered >= answered + 40);
    }
    await all.stop();
    expect(all.failures).toEqual([]);
  });

  it('are replaced one after the other on SIGHUP, also while callers shake hands, and no call fails', async () => {
    const before = new Set(two.childPids());
    const all = load(8);
    two.signal('SIGHUP');
    await eventually('both are new', () => two.childPids().length === 2 && two.childPids().every((pid) => !before.has(pid)), {
      withinMs: 60_000,
    });
    const answered = all.answered;
    await eventually('the new ones answer', () => all.answered > answered + 50);
    await all.stop();
    expect(all.failures).toEqual([]);
  });
});
