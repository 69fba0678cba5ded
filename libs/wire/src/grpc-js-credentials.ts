import { credentials, experimental, type ChannelCredentials, type ServerCredentials } from '@grpc/grpc-js';
import { defaultAuthorities, type LiveTlsMaterial, type TlsMaterial } from './tls-material.js';

type Provider = experimental.CertificateProvider;
type CaListener = experimental.CaCertificateUpdateListener;
type IdentityListener = experimental.IdentityCertificateUpdateListener;

/** For grpc-js servers. With `isMutual` callers must show a certificate that `ca` signed. */
export function serverCredentials(tls: LiveTlsMaterial, isMutual: boolean): ServerCredentials {
  const provider = new Certificates(tls);
  // Identity first, authorities second, in the code of 1.14.7; its declaration names them the other way round.
  return experimental.createCertificateProviderServerCredentials(provider, isMutual ? provider : null, isMutual);
}

/** For grpc-js clients; the server's name is verified. With `tls` undefined Node's authorities are trusted. */
export function channelCredentials(tls: LiveTlsMaterial | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createSsl(defaultAuthorities());
  const provider = new Certificates(tls);
  return experimental.createCertificateProviderChannelCredentials(provider, tls.material.cert ? provider : null);
}

/** Tells grpc-js of material and of its renewals; connections that stand are not touched. */
class Certificates implements Provider {
  private readonly stops = new Map<unknown, () => void>();

  constructor(private readonly tls: LiveTlsMaterial) {}

  addCaCertificateListener(listener: CaListener): void {
    this.add(listener, ({ ca }) => listener({ caCertificate: ca ?? defaultAuthorities() }));
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
