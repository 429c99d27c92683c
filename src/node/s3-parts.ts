/** The endpoint for S3 clients. */
import { RingloadError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { allowsAnonymousS3, opensS3 } from '../config/trust.ts';
import { startAnswerServer, type ShortAnswer } from '../data/io/answer-server.ts';
import type { FileReader } from '../read/file-reader.ts';
import { AttributeBook } from '../s3/attribute-book.ts';
import { Authenticator } from '../s3/authenticator.ts';
import { newRequestId } from '../s3/common-headers.ts';
import type { ObjectSource } from '../s3/objects.ts';
import { toS3Error } from '../s3/s3-error.ts';
import { newRunningSum } from '../s3/io/running-sums.ts';
import { errorAnswer, S3Service } from '../s3/service.ts';
import type { StandingObject } from '../s3/standing-object.ts';
import { ObjectWrites } from '../s3/writes.ts';
import type { Closer } from './closer.ts';
import type { OpenedLocalParts } from './local-parts.ts';
import type { NodeOptions } from './node-options.ts';
import type { S3ThreadData } from './s3-thread.ts';
import type { WriteNews } from './write-news.ts';

/** Answers in flight when the port closes may take so long. */
const DRAIN_GRACE_MS = 5000;
const DEFAULT_REGION = 'us-east-1';

type Context = NodeOptions & {
  readonly local: OpenedLocalParts;
  readonly files: FileReader;
  readonly news: WriteNews;
  readonly closer: Closer;
  readonly logger: Logger;
};

/** `http://host:port`; undefined when the endpoint stays closed. @throws address_in_use */
export async function openS3(context: Context): Promise<string | undefined> {
  const { loaded, local, closer, logger, metrics } = context;
  const { config, secrets } = loaded;
  const { host, port } = config.s3;
  if (!opensS3(config, secrets)) {
    if (config.s3.enabled) {
      logger.warn('the S3 endpoint stays closed: its host is not loopback, and no key pair is set');
    }
    return undefined;
  }
  const service = createService(context);
  const { descriptors, peerReads } = local;
  const server = await startAnswerServer({
    ...{ host, port, what: 'S3 endpoint', logger },
    answer: (request) => service.answer(request),
    failed: (error, request) => service.errorAnswer(error, request),
    tooMany: tooMany(),
    bounds: descriptors.clientGate,
    openFileMaxCount: Math.ceil(descriptors.servedFiles / 2),
    peers: { ...peerReads, socketMaxCount: Math.ceil(descriptors.readers / 2) },
    headersTimeoutMs: config.http.headersTimeoutMs,
    requestTimeoutMs: config.http.requestTimeoutMs,
    onRefused: () => {
      metrics.connectionRefused('s3');
    },
    recycle: (chunk) => {
      context.files.recycle(chunk);
    },
    thread: { file: threadFile(), data: threadData(context) },
    onOwnReads: (reads) => {
      for (const { facts, key, from, count, bytes } of reads) {
        const { found } = facts as StandingObject;
        context.files.noteRead({ record: found, index: key.index, from, count, bytes });
      }
    },
  });
  closer.add('S3 port', () => server.close(DRAIN_GRACE_MS));
  const shown = host.includes(':') ? `[${host}]` : host;
  return `http://${shown}:${String(server.port)}`;
}

function threadFile(): URL {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new URL(`./s3-thread.${extension}`, import.meta.url);
}

function threadData({ local, loaded }: Context): S3ThreadData {
  return { mounts: local.stores.mounts, who: whoMayAsk(loaded), marks: local.marks.memory };
}

function whoMayAsk({ config, secrets }: NodeOptions['loaded']): S3ThreadData['who'] {
  const { region } = config.s3;
  return {
    accessKeys: secrets.s3AccessKeys,
    allowsAnonymous: allowsAnonymousS3(config, secrets),
    ...(region !== '' && { region }),
  };
}

/** Made once and without a word in the log: it goes to whoever the gate does not let in. */
function tooMany(): ShortAnswer {
  const error = new RingloadError('overloaded', 'this peer has as many connections as it may');
  const request = { method: 'GET', target: '/' };
  const { status, headers, body } = errorAnswer(toS3Error(error), request, newRequestId());
  return { status, headers, ...(body && !('record' in body) && { body }) };
}

function openObjects({ local, files, news }: Context): ObjectSource {
  const { stores, clock } = local;
  const { signal } = new AbortController();
  const book = new AttributeBook({
    stat: (path, asked) => stores.storeOf(path).stat(path, asked),
    clock,
  });
  news.onForget((path) => {
    book.forget(path);
  });
  return {
    stat: (path) => files.find(path),
    open: (found, range, via) => files.open(found, range, via),
    attributesOf: (found, wantsChecksums) => book.of(found, wantsChecksums),
    part: async ({ path, version }, partNumber) =>
      stores.storeOf(path).part?.({ path, version, partNumber }, signal),
  };
}

function createService(context: Context): S3Service {
  const { loaded, local, news, logger } = context;
  const { stores } = local;
  const { region } = loaded.config.s3;
  return new S3Service({
    stores,
    objects: openObjects(context),
    writes: new ObjectWrites({ stores, notices: news, newSum: newRunningSum }),
    authenticator: new Authenticator({
      ...whoMayAsk(loaded),
      wallMs: () => local.clock.wallMs(),
    }),
    region: region === '' ? DEFAULT_REGION : region,
    newRequestId,
    logger,
  });
}
