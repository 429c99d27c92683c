/**
 * Brings back the copies of a window of segments that are missing or damaged: from the other
 * owners, then from whichever peer still has them, and last from the under store. Owners are
 * served one rank after the other, so that the under store is read once for all copies.
 */
import { toRingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { Spot } from './spot.ts';
import type { VerifyNetwork, VerifyPlacement } from './verify-network.ts';

/** Segments in one order: an order ends before another can be heard. */
const ORDER_MAX_COUNT = 8;
const ORDERS_AT_ONCE = 4;

interface Order {
  readonly owner: PeerId;
  readonly sources: readonly PeerId[];
  readonly spots: Spot[];
}

export class SegmentRestorer {
  readonly #network: VerifyNetwork;
  readonly #placement: VerifyPlacement;

  constructor(network: VerifyNetwork, placement: VerifyPlacement) {
    this.#network = network;
    this.#placement = placement;
  }

  async restore(spots: readonly Spot[], signal: AbortSignal): Promise<void> {
    for (const spot of spots) this.#giveUpOnTheRest(spot);
    const rankCount = Math.max(0, ...spots.map(({ owners }) => owners.length));
    for (let rank = 0; rank < rankCount; rank += 1) {
      const orders = this.#ordersFor(spots, rank).values();
      const lane = async (): Promise<void> => {
        for (const order of orders) {
          signal.throwIfAborted();
          await this.#send(order);
        }
      };
      await Promise.all(Array.from({ length: ORDERS_AT_ONCE }, lane));
    }
  }

  /** What is not simply gone cannot be restored by a copy. */
  #giveUpOnTheRest(spot: Spot): void {
    const sound = new Set(spot.soundOwners());
    for (const owner of spot.owners) {
      if (!sound.has(owner) && !spot.isLacking(owner)) spot.repairs.set(owner, { repaired: 'no' });
    }
  }

  #ordersFor(spots: readonly Spot[], rank: number): Order[] {
    const orders: Order[] = [];
    for (const spot of spots) {
      const owner = spot.owners[rank];
      if (owner === undefined || !spot.isLacking(owner)) continue;
      const sources = this.#sourcesFor(spot, owner);
      const last = orders.findLast((order) => order.owner === owner);
      const fits =
        last !== undefined &&
        last.spots.length < ORDER_MAX_COUNT &&
        last.spots[0]?.record === spot.record &&
        last.sources.join(' ') === sources.join(' ');
      if (fits) last.spots.push(spot);
      else orders.push({ owner, sources, spots: [spot] });
    }
    return orders;
  }

  #sourcesFor(spot: Spot, owner: PeerId): readonly PeerId[] {
    const sound = spot.soundOwners();
    if (sound.length > 0) return sound;
    // Why: after a change of the ring a segment may lie where it is not looked for.
    return this.#placement.members.filter(
      (peer) => peer !== owner && this.#placement.isReachable(peer),
    );
  }

  async #send({ owner, sources, spots }: Order): Promise<void> {
    const [first] = spots;
    if (!first) return;
    const indexes = spots.map(({ index }) => index);
    try {
      const order = { record: first.record, indexes, sources };
      const restored = await this.#network.restore(owner, order);
      spots.forEach((spot, position) => {
        const result = restored[position] ?? { error: 'no answer' };
        if ('error' in result) {
          spot.repairs.set(owner, { repaired: 'no', message: result.error });
          return;
        }
        const isFromUfs = result.from === 'ufs';
        spot.repairs.set(owner, { repaired: isFromUfs ? 'from-ufs' : 'from-peer' });
        spot.addRestored(result.lengthBytes, result.crc32c);
      });
    } catch (thrown) {
      const { message } = toRingloadError(thrown);
      for (const spot of spots) spot.repairs.set(owner, { repaired: 'no', message });
    }
  }
}
