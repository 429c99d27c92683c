/** Peers that may open few files, and how many they have open. Linux only. */
import { readdir, readFile } from 'node:fs/promises';
import type { Peer, PeerPlace } from '../support/peer-process.ts';

/** A shell that lowers the limit, soft and hard, and becomes the peer. */
export const limitedTo = (count: number): PeerPlace => ({
  host: '127.0.0.1',
  prefix: ['sh', '-c', `ulimit -n ${count} && exec "$@"`, 'sh'],
});

export const openCount = async (peer: Peer): Promise<number> =>
  (await readdir(`/proc/${peer.pid}/fd`)).length;

/** Resident memory. */
export async function residentBytes(peer: Peer): Promise<number> {
  const status = await readFile(`/proc/${peer.pid}/status`, 'utf8');
  return 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN);
}

/** Files that this process may open. */
export async function ownOpenFileLimit(): Promise<number> {
  const limits = await readFile('/proc/self/limits', 'utf8');
  const soft = /^Max open files\s+(\S+)/m.exec(limits)?.[1];
  return soft === 'unlimited' ? Infinity : Number(soft);
}
