/**
 * Links between peers as the rest of Ringload sees them: one authenticated WebSocket per pair,
 * typed frames, best effort for messages, deadlines for requests. No bulk bytes.
 */
import type { PeerId } from '../base/ids.ts';

export interface PeerAddress {
  readonly id: PeerId;
  /** `host:port` of the peer's REST port, which also takes WebSocket upgrades. */
  readonly address: string;
}

export interface LinkStatus {
  readonly peerId: PeerId;
  readonly connected: boolean;
  /** Monotonic time of the last frame or pong from that peer; undefined before the first. */
  readonly lastHeardMs: number | undefined;
  /** Start generation that the peer told in its handshake. */
  readonly generation: number | undefined;
}

/** Who a peer is, told in the handshake. */
export interface PeerIdentity {
  readonly id: PeerId;
  /** Grows with every start of the peer's process. */
  readonly generation: number;
}

export type RequestHandler = (from: PeerId, payload: unknown) => Promise<unknown>;
export type MessageHandler = (from: PeerId, payload: unknown) => void;

export interface PeerNetwork {
  /** The peers to keep links to; links to others are closed. */
  setPeers(peers: readonly PeerAddress[]): void;
  /**
   * Asks a linked peer. Payloads are JSON values.
   * @throws peer_unreachable, deadline_exceeded, or the error that the handler threw there.
   */
  request(to: PeerId, type: string, payload: unknown, deadlineMs: number): Promise<unknown>;
  /**
   * Asks whoever answers at `address`, before its id is known (joining).
   * @throws peer_unreachable, peer_refused, deadline_exceeded, or the handler's error.
   */
  requestAt(address: string, type: string, payload: unknown, deadlineMs: number): Promise<unknown>;
  /** Best effort: false when there is no link or its send buffer is full. */
  send(to: PeerId, type: string, payload: unknown): boolean;
  onRequest(type: string, handler: RequestHandler): void;
  onMessage(type: string, handler: MessageHandler): void;
  /** Called when a link opens or closes; returns the unsubscribe function. */
  onLinkChange(listener: (status: LinkStatus) => void): () => void;
  links(): readonly LinkStatus[];
  close(): Promise<void>;
}
