/** Segments that other peers hold, as bytes to read; over HTTP in production. */
import type { SegmentRequest } from './segment-request.ts';

export interface PeerSegment {
  readonly lengthBytes: number;
  /** CRC32C of the whole segment, as its holder knows it. */
  readonly crc32c: number;
  /** Exactly `lengthBytes`, or an error. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface BodyWatch {
  /** The request goes out: until then it waited for a connection. */
  readonly onAsked?: () => void;
  /** How long the body may stand still while it is waited for. */
  readonly bodyPatienceMs?: number;
  /** Nobody waits for it: it goes behind what readers of the other peer want. */
  readonly isAhead?: boolean;
}

export interface PeerSegments {
  /** @throws peer_unreachable, deadline_exceeded, or what the peer answered. */
  open(
    endpoint: string,
    request: SegmentRequest,
    signal: AbortSignal,
    watch?: BodyWatch,
  ): Promise<PeerSegment>;
  close(): void;
}
