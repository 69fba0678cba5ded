import { AppError, messageOf } from '@headrace/base/errors';
import { parsePeerAddress } from '@headrace/base/peer-address';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { z } from 'zod';
import { tlsFaults } from './tls/tls-files.js';

/** One key of a service's configuration; the reference page is generated from these. */
export interface ConfigKey<T extends z.ZodType = z.ZodType> {
  readonly env: string;
  readonly schema: T;
  readonly doc: string;
  readonly unit: string;
  /** Never printed. */
  readonly secret: boolean;
}

export type ConfigKeys = Readonly<Record<string, ConfigKey>>;
export type ConfigOf<K extends ConfigKeys> = { readonly [P in keyof K]: z.output<K[P]['schema']> };

/** @param schema parses the variable's text; give it a default, or the key is required. */
export function key<T extends z.ZodType>(env: string, schema: T, doc: string, unit = '', secret = false): ConfigKey<T> {
  return { env, schema, doc, unit, secret };
}

/**
 * Environment -> frozen configuration. Overrides (tests, embedding) win over the environment and are already typed.
 * @throws AppError CONFIG_INVALID that lists every mistake at once.
 */
export function readConfig<K extends ConfigKeys>(
  keys: K,
  env: Readonly<Record<string, string | undefined>>,
  overrides: Partial<ConfigOf<K>> = {},
): ConfigOf<K> {
  const values: Record<string, unknown> = {};
  const faults: string[] = [];
  for (const [name, { env: variable, schema, unit, secret }] of Object.entries(keys)) {
    if (overrides[name as keyof K] !== undefined) {
      values[name] = overrides[name as keyof K];
      continue;
    }
    const text = env[variable];
    const parsed = schema.safeParse(text === '' ? undefined : text);
    if (parsed.success) values[name] = parsed.data;
    else {
      const got = text === undefined ? 'is not set' : secret ? 'is not valid' : `= ${JSON.stringify(text)}`;
      faults.push(`${variable} ${got}: ${parsed.error.issues.map((i) => i.message).join(', ')}${unit ? ` (in ${unit})` : ''}`);
    }
  }
  faults.push(...tlsFaults(values, Date.now()));
  if (faults.length > 0) throw new AppError('CONFIG_INVALID', `configuration has ${faults.length} mistake(s):\n  ${faults.join('\n  ')}`);
  return Object.freeze(values) as ConfigOf<K>;
}

/** Whole numbers from text, with bounds. */
export const int = (low: number, high: number, fallback: number): z.ZodDefault<z.ZodCoercedNumber> =>
  z.coerce.number().int().min(low).max(high).default(fallback);
export const text = (fallback: string): z.ZodDefault<z.ZodString> => z.string().default(fallback);
/** Empty, or text that is too long to be guessed. */
export const secret = (lengthMin: number): z.ZodDefault<z.ZodString> =>
  z
    .string()
    .refine((given) => given === '' || given.length >= lengthMin, `at least ${lengthMin} characters, at random`)
    .default('');
/** Path of a file that holds such a text; gives what it holds, without the space around. */
export const secretFile = (lengthMin: number): z.ZodPipe<z.ZodDefault<z.ZodString>, z.ZodTransform<string, string>> =>
  text('').transform((path, context): string => {
    if (path === '') return '';
    try {
      return secret(lengthMin).parse(readFileSync(path, 'utf8').trim());
    } catch (error) {
      const why = error instanceof z.ZodError ? error.issues[0]!.message : messageOf(error);
      context.addIssue({ code: 'custom', message: `the file cannot be taken: ${why}` });
      return z.NEVER;
    }
  });
export const list = (fallback: string): z.ZodPipe<z.ZodDefault<z.ZodString>, z.ZodTransform<string[], string>> =>
  z
    .string()
    .default(fallback)
    .transform((value) =>
      value
        .split(',')
        .map((part) => part.trim())
        .filter(Boolean),
    );

/** Of a gRPC door: `host:port` in plain text, `https://host:port` by TLS. */
const grpcAddress = (fallback: string): z.ZodDefault<z.ZodString> =>
  z
    .string()
    .superRefine((address, context) => {
      try {
        parsePeerAddress(address);
      } catch (error) {
        context.addIssue({ code: 'custom', message: messageOf(error) });
      }
    })
    .default(fallback);

const port = (fallback: number): z.ZodDefault<z.ZodCoercedNumber> => int(0, 65_535, fallback);

/** Files that a client of TLS doors needs. */
export const clientTlsKeys = {
  tlsCaFile: key(
    'HEADRACE_TLS_CA_FILE',
    text(''),
    'authorities (PEM) that may have signed the certificates of doors called by `https://...`; empty = those that Node trusts',
  ),
  tlsClientCertFile: key(
    'HEADRACE_TLS_CLIENT_CERT_FILE',
    text(''),
    'certificate with its chain (PEM) for doors that ask their callers for one; a service without it shows that of its own doors',
  ),
  tlsClientKeyFile: key('HEADRACE_TLS_CLIENT_KEY_FILE', text(''), 'its private key (PEM, without passphrase)'),
};

/** Files of the two doors of a service. */
export const doorTlsKeys = {
  tlsCertFile: key(
    'HEADRACE_TLS_CERT_FILE',
    text(''),
    'certificate of the doors with its chain (PEM); with it HTTP and gRPC speak TLS and nothing else, without it plain text',
  ),
  tlsKeyFile: key('HEADRACE_TLS_KEY_FILE', text(''), 'its private key (PEM, without passphrase)'),
  tlsClientCaFile: key(
    'HEADRACE_TLS_CLIENT_CA_FILE',
    text(''),
    'authorities (PEM) of callers: with it every caller must show a certificate that one of them signed; only health and metrics over HTTP are answered without',
  ),
};

/** Where other services are; each service takes those that it calls. `https://` in front means TLS, for gRPC as for HTTP. */
export const peerKeys = {
  registryGrpc: key('HEADRACE_REGISTRY_GRPC', grpcAddress('127.0.0.1:7021'), 'gRPC address of the registry; `https://host:port` = TLS'),
  registryHttp: key('HEADRACE_REGISTRY_HTTP', text('http://127.0.0.1:7020'), 'HTTP address of the registry'),
  featureStoreGrpc: key(
    'HEADRACE_FEATURE_STORE_GRPC',
    grpcAddress('127.0.0.1:7011'),
    'gRPC address of the feature store; `https://host:port` = TLS',
  ),
  featureStoreHttp: key('HEADRACE_FEATURE_STORE_HTTP', text('http://127.0.0.1:7010'), 'HTTP address of the feature store'),
};

export type GrpcTransport = 'grpc-js' | 'wire';

/** Keys that every service has. Port 0 = any free port. */
export const platformKeys = (defaults: {
  readonly httpPort: number;
  readonly grpcPort: number;
  readonly database: string;
  readonly grpcTransport?: GrpcTransport;
}) =>
  ({
    host: key('HEADRACE_HOST', text('127.0.0.1'), 'address that the doors listen on; anything beyond loopback needs HEADRACE_API_KEY'),
    httpPort: key('HEADRACE_HTTP_PORT', port(defaults.httpPort), 'HTTP port; 0 = any free one'),
    grpcPort: key('HEADRACE_GRPC_PORT', port(defaults.grpcPort), 'gRPC port; 0 = any free one'),
    grpcTransport: key(
      'HEADRACE_GRPC_TRANSPORT',
      z.enum(['grpc-js', 'wire']).default(defaults.grpcTransport ?? 'grpc-js'),
      'transport of the gRPC doors: grpc-js, or wire = our own (libs/wire), which serving and the feature store take by default',
    ),
    apiKey: key(
      'HEADRACE_API_KEY',
      text(''),
      'key that callers must send as `authorization: Bearer <key>`; empty = open, allowed on loopback only',
      '',
      true,
    ),
    ...doorTlsKeys,
    ...clientTlsKeys,
    tlsReloadMs: key(
      'HEADRACE_TLS_RELOAD_MS',
      int(50, 86_400_000, 10_000),
      'how often those files are looked at; what changed is taken without a restart (at once on SIGHUP)',
      'ms',
    ),
    kafkaBrokers: key('HEADRACE_KAFKA_BROKERS', list('127.0.0.1:9092'), 'comma-separated bootstrap brokers'),
    kafkaClient: key(
      'HEADRACE_KAFKA_CLIENT',
      z.enum(['auto', 'kafkajs', 'platformatic']).default('auto'),
      'client library: auto = kafkajs consumes, @platformatic/kafka produces in bulk',
    ),
    topicPrefix: key(
      'HEADRACE_TOPIC_PREFIX',
      text(''),
      'put before every topic and consumer group, so that several installations share one broker',
    ),
    postgresUrl: key(
      'HEADRACE_POSTGRES_URL',
      text(`postgres://headrace@127.0.0.1:5432/${defaults.database}`),
      'connection URL of the database of this service',
      '',
      true,
    ),
    postgresPool: key('HEADRACE_POSTGRES_POOL', int(1, 200, 10), 'most connections to Postgres', 'connections'),
    redisUrl: key('HEADRACE_REDIS_URL', text('redis://127.0.0.1:6379'), 'connection URL of Redis', '', true),
    stateDir: key('HEADRACE_STATE', text('.headrace'), 'folder for files that the services keep'),
    logLevel: key(
      'HEADRACE_LOG_LEVEL',
      z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
      'lowest level that is printed',
    ),
    otlpEndpoint: key('OTEL_EXPORTER_OTLP_ENDPOINT', text(''), 'OTLP/HTTP collector for traces; empty = no traces'),
    traceSampleRatio: key(
      'HEADRACE_TRACE_SAMPLE_RATIO',
      z.coerce.number().min(0).max(1).default(1),
      'share of traces that are kept',
      '0..1',
    ),
    instance: key('HEADRACE_INSTANCE', text(`${hostname()}-${process.pid}`), 'name of this process in events, logs and consumer groups'),
    shutdownTimeoutMs: key('HEADRACE_SHUTDOWN_TIMEOUT_MS', int(0, 600_000, 10_000), 'longest wait for calls in flight at shutdown', 'ms'),
  }) as const;

export type PlatformConfig = ConfigOf<ReturnType<typeof platformKeys>>;

export const isLoopback = (host: string): boolean => ['127.0.0.1', '::1', '[::1]', 'localhost'].includes(host);

/** A door beyond loopback without a key would be open to the network. @throws AppError CONFIG_INVALID */
export function refuseOpenDoor(config: Pick<PlatformConfig, 'host' | 'apiKey'>): void {
  if (isLoopback(config.host) || config.apiKey.length >= 16) return;
  const what = config.apiKey ? 'HEADRACE_API_KEY is shorter than 16 characters' : 'HEADRACE_API_KEY is not set';
  throw new AppError(
    'CONFIG_INVALID',
    `HEADRACE_HOST=${config.host} is beyond loopback and ${what}; set a random key of at least 16 characters, or listen on 127.0.0.1`,
  );
}
