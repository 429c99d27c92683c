/**
 * Which process opened a loopback connection: what lets a proxy that everybody connects to treat
 * each peer's traffic differently. Reads /proc, hence Linux only.
 */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

/** The one of `pids` whose socket has that local port; undefined when none has (any more). */
export function ownerOfPort(localPort: number, pids: Iterable<number>): number | undefined {
  const inodes = inodesOfPort(localPort);
  if (inodes.size === 0) return undefined;
  for (const pid of pids) {
    if (hasOpenSocket(pid, inodes)) return pid;
  }
  return undefined;
}

function inodesOfPort(localPort: number): Set<string> {
  const suffix = `:${localPort.toString(16).toUpperCase().padStart(4, '0')}`;
  const inodes = new Set<string>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of readOrEmpty(table).split('\n')) {
      // Fields: number, local address, remote address, state, …, inode as the tenth.
      const fields = line.trim().split(/\s+/);
      const inode = fields[9];
      if (fields[1]?.endsWith(suffix) && inode !== undefined && inode !== '0') inodes.add(inode);
    }
  }
  return inodes;
}

function hasOpenSocket(pid: number, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOrEmpty(`/proc/${pid}/fd/${fd}`))?.[1];
      return inode !== undefined && inodes.has(inode);
    });
  } catch {
    return false;
  }
}

function linkOrEmpty(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
