/** A peer's links as production uses them, with an eye on what passes. */
import type { PeerId } from '../../../src/base/ids.ts';
import type { TaskBatch } from '../../../src/job/protocol.ts';
import type {
  LinkStatus,
  MessageHandler,
  PeerAddress,
  PeerNetwork,
  RequestHandler,
} from '../../../src/peer/peer-network.ts';
import { never } from './sim-ufs.ts';
import type { SimPeer } from './sim-peer.ts';
import type { World } from './world.ts';

export class ObservedNetwork implements PeerNetwork {
  readonly #links: PeerNetwork;
  readonly #peer: SimPeer;
  readonly #world: World;

  constructor(links: PeerNetwork, peer: SimPeer, world: World) {
    this.#links = links;
    this.#peer = peer;
    this.#world = world;
  }

  setPeers(peers: readonly PeerAddress[]): void {
    this.#links.setPeers(peers);
  }

  request(to: PeerId, type: string, payload: unknown, deadlineMs: number): Promise<unknown> {
    const { running } = this.#peer;
    if (running && !running.life.begin()) return never();
    return this.#links.request(to, type, payload, deadlineMs);
  }

  requestAt(address: string, type: string, payload: unknown, deadlineMs: number): Promise<unknown> {
    return this.#links.requestAt(address, type, payload, deadlineMs);
  }

  send(to: PeerId, type: string, payload: unknown): boolean {
    const { running } = this.#peer;
    if (running && !running.life.begin()) return false;
    return this.#links.send(to, type, payload);
  }

  onRequest(type: string, handler: RequestHandler): void {
    this.#links.onRequest(type, async (from, payload) => {
      const answer = await handler(from, payload);
      if (type === 'task.batch') {
        this.#world.history.batchTaken(this.#peer, payload as TaskBatch);
      }
      return answer;
    });
  }

  onMessage(type: string, handler: MessageHandler): void {
    this.#links.onMessage(type, handler);
  }

  onLinkChange(listener: (status: LinkStatus) => void): () => void {
    return this.#links.onLinkChange(listener);
  }

  links(): readonly LinkStatus[] {
    return this.#links.links();
  }

  close(): Promise<void> {
    return this.#links.close();
  }
}
