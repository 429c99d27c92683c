/**
 * The one file that knows the `hashring` package: the points that a member has on the ring, and
 * the point of a key.
 *
 * A `HashRing` is mutable and keeps a lookup cache, so none ever leaves this file: it is built for
 * one member, read out and thrown away. A member's points depend on its own id and weight only,
 * which is what keeps movement minimal and lets {@link Ring} reuse them from epoch to epoch.
 *
 * Invariant: for the same members, looking a key's point up among these points gives exactly what
 * the package's own `range` gives. Whatever changes a point here is a change of format.
 */
import { createHash, hash } from 'node:crypto';
import HashRing from 'hashring';
import { readUint32Le } from '../base/binary-text.ts';
import type { PeerId } from '../base/ids.ts';
import { invariant } from '../base/invariant.ts';

/**
 * Digests per unit of weight. Each gives {@link POINTS_PER_VNODE} points, so a peer of weight 1
 * has 1,000: the standard deviation of its share is 3.2 %, and of 10 equal peers the fullest is
 * expected at 1.05 of the mean and stays below 1.15 in all but about 1 of 100,000 clusters. Twice
 * as many would gain 0.9 points of deviation for twice the memory.
 */
export const VNODES_PER_WEIGHT = 250;

/** An MD5 digest is cut into four points, as ketama does. */
export const POINTS_PER_VNODE = 4;

/** Bounds of a member's weight: 10 to 100,000 points. */
export const WEIGHT_MIN = 0.01;
export const WEIGHT_MAX = 100;

/** Points are whole numbers in [0, 2^32). */
export const POINT_COUNT = 2 ** 32;

export function vnodeCountOf(weight: number): number {
  return Math.max(1, Math.round(weight * VNODES_PER_WEIGHT));
}

/** A member's points, in no particular order. @param weight 0.01 to 100. */
export function memberPoints(id: PeerId, weight: number): readonly number[] {
  const vnodes = vnodeCountOf(weight);
  // Why 'vnode count' 0: a server whose own count equals it would be given another number.
  const options = { 'vnode count': 0, replicas: POINTS_PER_VNODE, 'max cache size': 1 };
  const single = new HashRing({ [id]: { vnodes } }, md5, options);
  // The published type says array; the package returns an object from server to points.
  const byServer = single.points([id]) as unknown as Readonly<Record<string, readonly number[]>>;
  const points = byServer[id] ?? [];
  single.end();
  invariant(
    points.length === vnodes * POINTS_PER_VNODE,
    `${points.length} ring points instead of ${vnodes * POINTS_PER_VNODE} for member '${id}'`,
  );
  return points;
}

/** The point of a key: the first four bytes of its MD5, little-endian. */
export function pointOf(key: string): number {
  return readUint32Le(hash('md5', key, 'binary'), 0);
}

function md5(key: string): Buffer {
  return createHash('md5').update(key).digest();
}
