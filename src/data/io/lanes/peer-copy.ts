/** A segment from another peer's data endpoint over a lane: the request, and what an answer means. */
import { fromWireError, RingloadError, type WireError } from '../../../base/errors.ts';
import type {
  AnswerWatch,
  DirectRequest,
  MoveOutcome,
  RangeMover,
} from '../../../ufs/under-store.ts';
import {
  COPY_PURPOSE,
  CRC_HEADER,
  formatSegmentRequest,
  PURPOSE_HEADER,
  TAIL_HEADER,
} from '../../segment-request.ts';
import type { FillSource } from '../../data-plane.ts';

/** What is copied, and whether nobody waits for it. */
export type PeerCopy = Extract<FillSource, { kind: 'peer' }> & { readonly isAhead: boolean };

export interface PeerCopyOptions {
  /** Bearer token of the cluster; undefined: peers do not authenticate each other. */
  readonly token: () => string | undefined;
  /** From connecting to the head of the answer, milliseconds. */
  readonly headTimeoutMs: number;
  /** A body must make progress at least this often, milliseconds. */
  readonly stallTimeoutMs: number;
}

const CONNECT_TIMEOUT_MS = 5000;
/** Between peers a few connections fill any line; each costs the other one a descriptor. */
const LANE_MAX_COUNT = 16;

/**
 * False: this endpoint is for a complete client.
 * @throws peer_unreachable, deadline_exceeded, segment_corrupt, or what the peer answered.
 */
export async function copyFromPeer(
  { endpoint, key, isAhead, follows }: PeerCopy,
  mover: RangeMover,
  options: PeerCopyOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const path = formatSegmentRequest({ key, offset: 0, ...(follows && { follows }) });
  const token = options.token();
  const fields = [
    ...(token === undefined ? [] : [`authorization: Bearer ${token}`]),
    ...(isAhead ? [`${PURPOSE_HEADER}: ${COPY_PURPOSE}`] : []),
  ];
  const request = requestTo(endpoint, path, fields);
  if (!request) return false;
  const outcome = await mover.move(request, 0, watchOf(options), signal);
  if (outcome.kind === 'unfit') return false;
  if (checksumOf(outcome, endpoint) === mover.crc32c()) return true;
  const message = 'a peer sent a segment that does not match its checksum';
  throw new RingloadError('segment_corrupt', message);
}

function watchOf({ headTimeoutMs, stallTimeoutMs }: PeerCopyOptions): AnswerWatch {
  return {
    connectTimeoutMs: Math.min(CONNECT_TIMEOUT_MS, headTimeoutMs),
    headTimeoutMs,
    windowMs: stallTimeoutMs,
    minBytesPerWindow: 1,
    bodyTimeoutMs: Infinity,
  };
}

/** Undefined where the host is a name, or the scheme not plain HTTP. */
function requestTo(
  endpoint: string,
  path: string,
  fields: readonly string[],
): DirectRequest | undefined {
  const url = new URL(endpoint);
  const address = url.hostname.replace(/^\[|\]$/g, '');
  if (url.protocol !== 'http:' || !/^[\d.]+$|:/.test(address)) return undefined;
  return {
    endpoint: { address, port: Number(url.port || 80), laneMaxCount: LANE_MAX_COUNT },
    head: [`GET ${path} HTTP/1.1`, `host: ${url.host}`, ...fields, '\r\n'].join('\r\n'),
    tailHeader: TAIL_HEADER,
  };
}

/** The CRC32C that the peer vouches for. */
function checksumOf(outcome: Exclude<MoveOutcome, { kind: 'unfit' }>, endpoint: string): number {
  if (outcome.kind === 'broken') {
    const code = outcome.systemCode === 'ETIMEDOUT' ? 'deadline_exceeded' : 'peer_unreachable';
    throw new RingloadError(code, `read from ${endpoint}: ${outcome.systemCode}`);
  }
  const { status, headers } = outcome.head;
  if (outcome.kind === 'moved' && status === 200) {
    return outcome.tail === undefined ? Number(headers[CRC_HEADER]) : parseInt(outcome.tail, 16);
  }
  if (status === 200) {
    const message = `${endpoint} holds ${headers['content-length'] ?? '?'} bytes, not as many`;
    throw new RingloadError('segment_corrupt', message);
  }
  throw errorOf(outcome.kind === 'answered' ? outcome.body : '', status, endpoint);
}

function errorOf(body: string, status: number, endpoint: string): RingloadError {
  try {
    return fromWireError(JSON.parse(body) as WireError);
  } catch (cause) {
    const message = `${endpoint} answered ${String(status)}`;
    return new RingloadError('peer_unreachable', message, { cause });
  }
}
