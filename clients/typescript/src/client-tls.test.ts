import { Server, type sendUnaryData, type ServerUnaryCall } from '@grpc/grpc-js';
import { PredictRequest, PredictResponse } from '@headrace/contracts/serving/v1/serving';
import { TestAuthority } from '@headrace/testkit/certificates';
import { eventually } from '@headrace/testkit/eventually';
import { serverCredentials } from '@headrace/wire/grpc-js-credentials';
import { LiveTlsMaterial, type TlsMaterial } from '@headrace/wire/tls-material';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HeadraceClient } from './client.js';

const [authority, next] = [new TestAuthority(), new TestAuthority('next')];
const material = (of: TestAuthority, hosts?: readonly string[]): TlsMaterial => {
  const { cert, key } = of.issue(hosts ? { hosts } : {});
  return { ca: Buffer.from(of.cert), cert: Buffer.from(cert), key: Buffer.from(key) };
};
const servers: Server[] = [];

async function serve(tls: TlsMaterial, isMutual: boolean): Promise<number> {
  const server = new Server();
  servers.push(server);
  const predict = (call: ServerUnaryCall<PredictRequest, PredictResponse>, done: sendUnaryData<PredictResponse>): void =>
    done(null, PredictResponse.fromPartial({ model: call.request.model, version: 3, labels: [1], scores: [0.75], predictionId: 'p' }));
  server.addService(
    {
      predict: {
        path: '/headrace.serving.v1.Prediction/Predict',
        requestStream: false,
        responseStream: false,
        requestSerialize: (message: PredictRequest) => Buffer.from(PredictRequest.encode(message).finish()),
        requestDeserialize: (bytes: Buffer) => PredictRequest.decode(bytes),
        responseSerialize: (message: PredictResponse) => Buffer.from(PredictResponse.encode(message).finish()),
        responseDeserialize: (bytes: Buffer) => PredictResponse.decode(bytes),
      },
    },
    { predict },
  );
  return new Promise((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', serverCredentials(new LiveTlsMaterial(tls), isMutual), (error, port) =>
      error ? reject(error) : resolve(port),
    ),
  );
}

async function version(client: HeadraceClient): Promise<number> {
  return (await client.predict({ model: 'm', dense: [[1]] }, { timeoutMs: 3_000 })).version;
}

describe('a client of doors that speak TLS', () => {
  let [open, mutual, elsewhere] = [0, 0, 0];
  beforeAll(async () => {
    open = await serve(material(authority), false);
    mutual = await serve(material(authority), true);
    elsewhere = await serve(material(authority, ['serving.example']), false);
  });
  afterAll(() => servers.forEach((server) => server.forceShutdown()));

  const { ca } = material(authority);
  it.each([
    ['trusts the authority that it was given', () => ({ address: `https://localhost:${open}`, tls: { ca: ca! } })],
    ['shows its certificate to a door that asks for one', () => ({ address: `https://localhost:${mutual}`, tls: material(authority) })],
  ])('%s', async (_what, options) => {
    const client = new HeadraceClient(options());
    expect(await version(client)).toBe(3);
    client.close();
  });

  it.each([
    ['has no authority for the door', () => ({ address: `https://localhost:${open}` })],
    ['trusts another authority', () => ({ address: `https://localhost:${open}`, tls: { ca: Buffer.from(next.cert) } })],
    ['asked for another host', () => ({ address: `https://localhost:${elsewhere}`, tls: { ca: ca! } })],
    ['has no certificate where one is asked for', () => ({ address: `https://localhost:${mutual}`, tls: { ca: ca! } })],
    ['speaks plain text', () => ({ address: `localhost:${open}` })],
  ])('gets no answer when it %s', async (_what, options) => {
    const client = new HeadraceClient(options());
    await expect(version(client)).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    client.close();
  });

  it('uses renewed certificates for its next connection', async () => {
    const client = new HeadraceClient({ address: `https://localhost:${mutual}`, tls: material(next) });
    await expect(version(client)).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    client.renewTls(material(authority));
    // grpc-js waits a second before it connects again.
    await eventually('it connects', async () => expect(await version(client)).toBe(3));
    client.close();
    expect(() => new HeadraceClient({ address: 'localhost:1' }).renewTls({})).toThrow(/made without `tls`/);
  });

  it('says what an address must look like', () =>
    expect(() => new HeadraceClient({ address: 'https://localhost' })).toThrow(
      /write host:port, http:\/\/host:port or https:\/\/host:port/,
    ));
});
