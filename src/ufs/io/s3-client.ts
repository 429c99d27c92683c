/**
 * The AWS SDK client of one mount: where it connects to, as whom, and through which sockets.
 *
 * Retries, checks of answers and deadlines are ours (`s3-under-store.ts`), since the SDK's own
 * neither cover bodies nor time out; here it is only told to keep out of the way: one attempt, no
 * redirects, no checksums, no idle timers.
 */
import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { lookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { pipeline, Readable, Transform } from 'node:stream';

import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';

import type { Clock, Timer } from '../../base/clock.ts';
import { RingloadError } from '../../base/errors.ts';
import { checkMount, type CredentialSource, type MountConfig, type UfsLimits } from '../mounts.ts';
import type { UnderStoreDependencies } from './dependencies.ts';
import { isLinkLocal } from './link-local.ts';

const DEFAULT_REGION = 'us-east-1';

/** A listing of 1,000 keys of 1,024 characters, percent-encoded, stays below this. */
const DOCUMENT_MAX_BYTES = 16 * 1024 * 1024;

const ignore = (): void => undefined;
/** Without one the SDK prints warnings about what is an error of ours in any case. */
const SILENCE = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore };

/** Sockets of one mount; they outlive a client whose credentials were refused. */
export interface S3Sockets {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
}

export function createSockets(limits: UfsLimits): S3Sockets {
  const options = {
    keepAlive: true,
    maxSockets: limits.connectionMaxCount,
    maxFreeSockets: limits.connectionMaxCount,
    scheduling: 'lifo',
    lookup: publicLookup,
  } as const;
  return { http: new HttpAgent(options), https: new HttpsAgent(options) };
}

/** @throws config_invalid */
export function createS3Client(
  mount: MountConfig,
  limits: UfsLimits,
  sockets: S3Sockets,
  { env, clock }: UnderStoreDependencies,
): S3Client {
  const endpoint = mount.endpoint ?? env['AWS_ENDPOINT_URL_S3'] ?? env['AWS_ENDPOINT_URL'];
  if (endpoint !== undefined) checkEndpointAddress(checkMount({ ...mount, endpoint }), endpoint);
  // Why once: the SDK asks for the region with every request, and the chain costs milliseconds.
  let region: Promise<string> | undefined;
  const config: S3ClientConfig = {
    region: mount.region ?? (() => (region ??= regionOfChain(env))),
    forcePathStyle: mount.forcePathStyle ?? endpoint !== undefined,
    maxAttempts: 1,
    followRegionRedirects: false,
    logger: SILENCE,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      httpAgent: sockets.http,
      httpsAgent: sockets.https,
      connectionTimeout: limits.connectTimeoutMs,
      // Idle timers would fire on a consumer that is slow on purpose.
      socketTimeout: 0,
      // The warning about queued requests goes to the console: never.
      socketAcquisitionWarningTimeout: 2 ** 31 - 1,
    },
  };
  if (endpoint !== undefined) config.endpoint = endpoint;
  Object.assign(config, credentialConfig(mount.path, mount.credentials, env));
  const client = new S3Client(config);
  boundDocuments(client);
  if (mount.credentials === undefined) {
    boundCredentials(client, { clock, path: mount.path, timeoutMs: limits.requestTimeoutMs / 2 });
  }
  if (mount.responseChecksums !== 'ignore') askForChecksums(client);
  return client;
}

async function regionOfChain(env: UnderStoreDependencies['env']): Promise<string> {
  const named = env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'];
  if (named !== undefined && named !== '') return named;
  const probe = new S3Client({});
  try {
    return await probe.config.region();
  } catch {
    return DEFAULT_REGION;
  } finally {
    probe.destroy();
  }
}

function credentialConfig(
  path: string,
  source: CredentialSource | undefined,
  env: UnderStoreDependencies['env'],
): Pick<S3ClientConfig, 'credentials' | 'signer'> {
  if (source === undefined) return {};
  if (source.kind === 'anonymous') {
    return {
      credentials: () => Promise.resolve({ accessKeyId: '', secretAccessKey: '' }),
      signer: { sign: (request) => Promise.resolve(request) },
    };
  }
  return {
    credentials: async () => {
      const [accessKeyId, secretAccessKey, sessionToken] = await readCredentials(path, source, env);
      return sessionToken === undefined
        ? { accessKeyId, secretAccessKey }
        : { accessKeyId, secretAccessKey, sessionToken };
    },
  };
}

async function readCredentials(
  path: string,
  source: Exclude<CredentialSource, { kind: 'anonymous' }>,
  env: UnderStoreDependencies['env'],
): Promise<[string, string, string | undefined]> {
  const [read, names]: [typeof fromFile, [string, string, string | undefined]] =
    source.kind === 'file'
      ? [fromFile, [source.accessKeyIdPath, source.secretAccessKeyPath, source.sessionTokenPath]]
      : [
          (name) => Promise.resolve(env[name]?.trim()),
          [source.accessKeyIdName, source.secretAccessKeyName, source.sessionTokenName],
        ];
  const required = async (name: string): Promise<string> => {
    const value = await read(name);
    if (value !== undefined && value !== '') return value;
    const where = source.kind === 'file' ? 'file' : 'environment variable';
    throw new RingloadError('ufs_credentials', `mount ${path}: ${where} ${name} has no credential`);
  };
  const [accessKeyName, secretName, tokenName] = names;
  return [
    await required(accessKeyName),
    await required(secretName),
    tokenName === undefined ? undefined : await required(tokenName),
  ];
}

async function fromFile(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch {
    return undefined;
  }
}

/**
 * The chain may ask endpoints that never answer, without a deadline of its own. Half the time of a
 * request, so that it is not the store that seems to be silent.
 */
function boundCredentials(
  client: S3Client,
  { clock, path, timeoutMs }: { clock: Clock; path: string; timeoutMs: number },
): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      let timer: Timer | undefined;
      const late = new Promise<never>((_resolve, reject) => {
        timer = clock.setTimer(timeoutMs, () => {
          const message = `mount ${path}: the source of credentials did not answer within ${timeoutMs} ms`;
          reject(new RingloadError('ufs_credentials', message));
        });
      });
      try {
        await Promise.race([client.config.credentials(), late]);
      } finally {
        timer?.cancel();
      }
      return next(args);
    },
    { name: 'ringloadBoundCredentials', step: 'initialize' },
  );
}

/**
 * Whole objects come with the checksum that was stored with them. Only the header is set: with the
 * command's `ChecksumMode` the SDK would check by itself, behind a stream of its own.
 */
function askForChecksums(client: S3Client): void {
  client.middlewareStack.add(
    (next, context) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> };
      const isWhole = (args.input as { Range?: string }).Range === undefined;
      if (context.commandName === 'GetObjectCommand' && isWhole) {
        headers['x-amz-checksum-mode'] = 'ENABLED';
      }
      return next(args);
    },
    { name: 'ringloadAskForChecksums', step: 'build' },
  );
}

/** Everything but the body of a successful GetObject is collected in memory: at most this much. */
function boundDocuments(client: S3Client): void {
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const result = await next(args);
      const response = result.response as { statusCode?: number; body?: unknown };
      const isObject = context.commandName === 'GetObjectCommand';
      if (isObject && (response.statusCode ?? 0) < 300) return result;
      if (response.body instanceof Readable) response.body = bounded(response.body);
      return result;
    },
    { name: 'ringloadBoundDocuments', step: 'deserialize', priority: 'low' },
  );
}

function bounded(body: Readable): Readable {
  let receivedBytes = 0;
  const counter = new Transform({
    transform(chunk: Uint8Array, _encoding, callback) {
      receivedBytes += chunk.length;
      if (receivedBytes <= DOCUMENT_MAX_BYTES) callback(null, chunk);
      else callback(tooLarge());
    },
  });
  // The reader of `counter` sees every error; here there is nobody to tell.
  pipeline(body, counter, () => undefined);
  return counter;
}

function tooLarge(): RingloadError {
  return new RingloadError(
    'ufs_bad_response',
    `the under store sent a document of more than ${DOCUMENT_MAX_BYTES} bytes`,
  );
}

function checkEndpointAddress(mount: MountConfig, endpoint: string): void {
  const host = new URL(endpoint).hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) === 0 || !isLinkLocal(host)) return;
  throw new RingloadError('config_invalid', `mount ${mount.path}: its endpoint is link-local`);
}

/** DNS as usual, but a name never leads to a link-local address. */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) {
      callback(error, []);
      return;
    }
    const allowed = addresses.filter(({ address }) => !isLinkLocal(address));
    const [first] = allowed;
    if (!first) {
      callback(Object.assign(new Error('refused address'), { code: 'EREFUSEDADDRESS' }), []);
    } else if (options.all === true) {
      callback(null, allowed);
    } else {
      callback(null, first.address, first.family);
    }
  });
};
