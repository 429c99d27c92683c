/** Members with realistic ids, the same in every run, and keys as listings have them. */
import { createHash } from 'node:crypto';
import { epoch, peerId, type PeerId } from '../../src/base/ids.ts';
import { Ring, type RingMember } from '../../src/ring/ring.ts';

/** The id of the n-th peer: shaped like a UUID. */
export function idOf(number: number): PeerId {
  const hex = createHash('sha256').update(`peer ${number}`).digest('hex');
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)];
  return peerId([...parts, hex.slice(20, 32)].join('-'));
}

export function memberOf(number: number, weight = 1): RingMember {
  return { id: idOf(number), weight, zone: `zone-${number % 3}` };
}

export function membersOf(count: number, weightOf: (number: number) => number = () => 1) {
  return Array.from({ length: count }, (_, number) => memberOf(number, weightOf(number)));
}

export function ringOf(members: readonly RingMember[], previous?: Ring): Ring {
  return Ring.from({ epoch: epoch(1), members }, previous);
}

export function keysOf(count: number): string[] {
  return Array.from(
    { length: count },
    (_, number) => `s3://bucket/data/train/part-${String(number).padStart(8, '0')}.parquet`,
  );
}
