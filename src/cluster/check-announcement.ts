/**
 * What a peer tells about itself, checked before it becomes a member: it comes from another
 * process, and a ring built from a bad weight would stop every peer.
 */
import { WEIGHT_MAX, WEIGHT_MIN } from '../ring/hash-points.ts';
import type { Announcement } from './member.ts';

const TEXT_MAX_LENGTH = 512;

/** The known fields of a valid announcement, or why it is not one. */
export function pickAnnouncement(announced: Announcement): Announcement | string {
  const { id, address, dataEndpoint, weight, zone, capacityBytes, generation } = announced;
  for (const [name, text] of Object.entries({ id, address, dataEndpoint, zone })) {
    if (typeof text !== 'string' || text.length > TEXT_MAX_LENGTH) {
      return `the ${name} of a peer has to be a text of at most ${String(TEXT_MAX_LENGTH)} characters`;
    }
  }
  if (id.length === 0) return 'a peer needs an id';
  if (!(typeof weight === 'number' && weight >= WEIGHT_MIN && weight <= WEIGHT_MAX)) {
    return `weight ${String(weight)} of peer ${id} is not within ${String(WEIGHT_MIN)} and ${String(WEIGHT_MAX)}`;
  }
  for (const [name, count] of Object.entries({ capacityBytes, generation })) {
    if (!Number.isSafeInteger(count) || count < 0) {
      return `${name} ${String(count)} of peer ${id} is not a count`;
    }
  }
  return { id, address, dataEndpoint, weight, zone, capacityBytes, generation };
}
