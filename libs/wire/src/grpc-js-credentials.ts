import { isIP, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { ChannelCredentials, credentials, experimental, type ServerCredentials } from '@grpc/grpc-js';
import type { LiveTlsMaterial, TlsMaterial } from './tls-material.js';

type Provider = experimental.CertificateProvider;
type CaListener = experimental.CaCertificateUpdateListener;
type IdentityListener = experimental.IdentityCertificateUpdateListener;

/** For grpc-js servers. With `isMutual` callers must show a certificate that `ca` signed. */
export function serverCredentials(tls: LiveTlsMaterial, isMutual: boolean): ServerCredentials {
  const provider = new Certificates(tls);
  // Identity first, authorities second, in the code of 1.14.7; its declaration names them the other way round.
  return experimental.createCertificateProviderServerCredentials(provider, isMutual ? provider : null, isMutual);
}

/** For grpc-js clients of `host:port`; the server's name is verified. With `tls` undefined Node's authorities are trusted. */
export function channelCredentials(target: string, tls: LiveTlsMaterial | undefined): ChannelCredentials {
  return new TlsChannelCredentials(target.slice(0, target.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1'), tls);
}

/**
 * In the place of grpc-js's own, which ask for a certificate of an IP address by a name that is no name (RFC 6066 forbids it; Node warns, and strict
 * servers refuse). Each connection takes the material that is current when it begins.
 */
class TlsChannelCredentials extends ChannelCredentials {
  constructor(
    private readonly host: string,
    private readonly tls: LiveTlsMaterial | undefined,
  ) {
    super();
  }

  _isSecure(): boolean {
    return true;
  }

  _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  _createSecureConnector(_target: unknown, _options: unknown, callCredentials = credentials.createEmpty()): experimental.SecureConnector {
    return {
      connect: async (socket) => ({ socket: await this.handshake(socket), secure: true }),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials,
      destroy: () => undefined,
    };
  }

  private handshake(socket: Socket): Promise<TLSSocket> {
    const { host, tls } = this;
    const name = isIP(host) === 0 ? { servername: host } : {};
    return new Promise((resolve, reject) => {
      const secured = connect({ ...tls?.material, ...name, socket, host, ALPNProtocols: ['h2'], minVersion: 'TLSv1.2' }, () => {
        secured.off('close', onClose);
        resolve(secured);
      });
      const onClose = (): void => reject(new Error('the connection was closed during the TLS handshake'));
      // Stays: an error of a later moment is told by `close`, which the transport hears.
      secured.on('error', reject);
      secured.once('close', onClose);
    });
  }
}

/** Tells a grpc-js server of material and of its renewals; connections that stand are not touched. */
class Certificates implements Provider {
  private readonly stops = new Map<unknown, () => void>();

  constructor(private readonly tls: LiveTlsMaterial) {}

  addCaCertificateListener(listener: CaListener): void {
    this.add(listener, ({ ca }) => listener(ca ? { caCertificate: ca } : null));
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.add(listener, ({ cert, key }) => listener(cert && key ? { certificate: cert, privateKey: key } : null));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.remove(listener);
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.remove(listener);
  }

  /** Always later: a server of grpc-js that is told while it listens for the first time forgets what it heard, and drops every connection. */
  private add(listener: unknown, tell: (material: TlsMaterial) => void): void {
    const stop = this.tls.follow((material) => process.nextTick(() => this.stops.has(listener) && tell(material)));
    this.stops.set(listener, stop);
  }

  private remove(listener: unknown): void {
    this.stops.get(listener)?.();
    this.stops.delete(listener);
  }
}
