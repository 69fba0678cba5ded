import { parsePeerAddress } from '@headrace/base/peer-address';
import { isLoopback, type PlatformConfig } from '../config.js';

type Told = Pick<PlatformConfig, 'host' | 'apiKey' | 'tlsCertFile'> &
  Partial<Readonly<Record<'registryGrpc' | 'registryHttp' | 'featureStoreGrpc' | 'featureStoreHttp', string>>>;

/** Where the API key and the data of callers would cross a network in plain text: sentences for the log. */
export function plainTextWarnings(config: Told): string[] {
  const warnings: string[] = [];
  if (!isLoopback(config.host) && !config.tlsCertFile)
    warnings.push(
      `HEADRACE_HOST=${config.host} is beyond loopback and the doors speak plain text: API keys and data can be read on the way; set HEADRACE_TLS_CERT_FILE and HEADRACE_TLS_KEY_FILE, or let a proxy on this machine speak TLS`,
    );
  const plain = Object.entries({
    HEADRACE_REGISTRY_GRPC: config.registryGrpc,
    HEADRACE_REGISTRY_HTTP: config.registryHttp,
    HEADRACE_FEATURE_STORE_GRPC: config.featureStoreGrpc,
    HEADRACE_FEATURE_STORE_HTTP: config.featureStoreHttp,
  }).filter((entry): entry is [string, string] => entry[1] !== undefined && isPlainBeyondLoopback(entry[1]));
  if (config.apiKey && plain.length > 0)
    warnings.push(
      `HEADRACE_API_KEY is sent in plain text to ${plain.map(([env, at]) => `${env}=${at}`).join(', ')}; write https://... where the peer speaks TLS`,
    );
  return warnings;
}

function isPlainBeyondLoopback(address: string): boolean {
  const { target, isTls } = parsePeerAddress(address);
  const host = target.replace(/:\d+$/, '');
  return !isTls && !isLoopback(host);
}
