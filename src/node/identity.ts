/**
 * Who this peer is: the permanent facts in its data directory, written atomically and durably.
 *
 * The start generation grows with every start, before anything else is done: of two processes
 * that claim one id, the cluster can tell the newer.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { RingloadError } from '../base/errors.ts';
import {
  clusterId,
  isUuid,
  peerId,
  raftId,
  type ClusterId,
  type PeerId,
  type RaftId,
} from '../base/ids.ts';

const FORMAT = 1;

export interface Identity {
  readonly peerId: PeerId;
  readonly generation: number;
  /** What admitted this peer; absent before it bootstrapped or joined a cluster. */
  readonly membership?: Membership;
}

export interface Membership {
  readonly clusterId: ClusterId;
  readonly raftId: RaftId;
  /** Its Raft log may not exist yet: a start that ended here has to begin it again. */
  readonly isEntering?: true;
}

/** @throws data_dir_foreign for a file of another version, data_corrupt for one that is damaged. */
export async function startIdentity(dataDir: string): Promise<Identity> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const known = await readIdentity(dataDir);
  const identity: Identity = known
    ? { ...known, generation: known.generation + 1 }
    : { peerId: peerId(randomUUID()), generation: 1 };
  await writeIdentity(dataDir, identity);
  return identity;
}

export async function writeIdentity(dataDir: string, identity: Identity): Promise<void> {
  const path = pathIn(dataDir);
  const file = await open(`${path}.tmp`, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify({ format: FORMAT, ...identity }, undefined, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.tmp`, path);
  const directory = await open(dataDir, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function readIdentity(dataDir: string): Promise<Identity | undefined> {
  const path = pathIn(dataDir);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return parse(text, path);
}

function parse(text: string, path: string): Identity {
  let raw: Partial<Record<'format' | 'peerId' | 'generation' | 'membership', unknown>>;
  try {
    raw = (JSON.parse(text) ?? {}) as typeof raw;
  } catch (cause) {
    throw new RingloadError('data_corrupt', `read ${path}: it is not JSON`, { cause });
  }
  if (raw.format !== FORMAT) {
    throw new RingloadError(
      'data_dir_foreign',
      `read ${path}: format ${String(raw.format)} is not ${String(FORMAT)}`,
    );
  }
  const { peerId: id, generation } = raw;
  const membership = parseMembership(raw.membership);
  const isValid = typeof id === 'string' && isUuid(id) && isCount(generation);
  if (!isValid || membership === 'damaged') {
    throw new RingloadError('data_corrupt', `read ${path}: it does not describe a peer`);
  }
  return { peerId: peerId(id), generation, ...(membership && { membership }) };
}

function parseMembership(raw: unknown): Membership | undefined | 'damaged' {
  if (raw === undefined) return undefined;
  if (typeof raw !== 'object' || raw === null) return 'damaged';
  const { clusterId: id, raftId: number, isEntering } = raw as Partial<Record<string, unknown>>;
  if (typeof id !== 'string' || !isUuid(id) || !isCount(number)) return 'damaged';
  return {
    clusterId: clusterId(id),
    raftId: raftId(number),
    ...(isEntering === true && { isEntering }),
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

function pathIn(dataDir: string): string {
  return join(dataDir, 'identity.json');
}
