/** What the links of one peer did since its start; read by metrics, never reset. */
import type { RefusalReason } from './refusal.ts';

export interface PeerCounters {
  framesSent: number;
  framesReceived: number;
  bytesSent: number;
  bytesReceived: number;
  dials: number;
  dialFailures: number;
  linksOpened: number;
  linksClosed: number;
  /** Links opened to a peer that had one before. */
  reconnects: number;
  /** Links closed because nothing was heard from the other side. */
  silentLinks: number;
  /** Links closed because the other side broke the protocol. */
  badFrames: number;
  requestsSent: number;
  requestsReceived: number;
  /** Requests answered with overloaded. */
  requestsShed: number;
  /** Own sends and requests that found the buffer or the table of waiting requests full. */
  sendsDropped: number;
  lateResponses: number;
  duplicateRequests: number;
  /** Callers that this peer turned away, and refusals it met, by reason. */
  readonly refusedCallers: Partial<Record<RefusalReason, number>>;
  readonly refusedDials: Partial<Record<RefusalReason, number>>;
}

export function createPeerCounters(): PeerCounters {
  return {
    framesSent: 0,
    framesReceived: 0,
    bytesSent: 0,
    bytesReceived: 0,
    dials: 0,
    dialFailures: 0,
    linksOpened: 0,
    linksClosed: 0,
    reconnects: 0,
    silentLinks: 0,
    badFrames: 0,
    requestsSent: 0,
    requestsReceived: 0,
    requestsShed: 0,
    sendsDropped: 0,
    lateResponses: 0,
    duplicateRequests: 0,
    refusedCallers: {},
    refusedDials: {},
  };
}

export function countRefusal(
  table: Partial<Record<RefusalReason, number>>,
  reason: RefusalReason,
): void {
  table[reason] = (table[reason] ?? 0) + 1;
}
