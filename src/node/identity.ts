/**
 * Who this peer is: the permanent facts in its data directory, written atomically and durably, and
 * sealed with a checksum: a digit that a disk flips would make it another peer, with a vote.
 *
 * The start generation grows with every start, before anything else is done: of two processes
 * that claim one id, the cluster can tell the newer.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
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

const FORMAT = 2;

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

/**
 * @throws data_dir_foreign for a file of another version, data_corrupt for one that is damaged, or
 * missing where there is a Raft log; data_dir_io.
 */
export async function startIdentity(dataDir: string): Promise<Identity> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const known = await readIdentity(dataDir);
  if (!known?.membership) await checkNoLog(dataDir);
  const identity: Identity = known
    ? { ...known, generation: known.generation + 1 }
    : { peerId: peerId(randomUUID()), generation: 1 };
  await writeIdentity(dataDir, identity);
  return identity;
}

/** Where the peer's Raft log lies. */
export function raftFolder(dataDir: string): string {
  return join(dataDir, 'raft');
}

/** @throws data_dir_io */
export async function writeIdentity(dataDir: string, identity: Identity): Promise<void> {
  const path = pathIn(dataDir);
  try {
    await replaceFile(dataDir, identity);
  } catch (error) {
    const { message, code = '' } = error as NodeJS.ErrnoException;
    throw new RingloadError('data_dir_io', `write ${path}: ${message}`, {
      details: { file: path, systemCode: code },
      cause: error,
    });
  }
}

async function replaceFile(dataDir: string, identity: Identity): Promise<void> {
  const path = pathIn(dataDir);
  const file = await open(`${path}.tmp`, 'w', 0o600);
  try {
    const content = { format: FORMAT, checksum: checksumOf(identity), ...identity };
    await file.writeFile(`${JSON.stringify(content, undefined, 2)}\n`);
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
    const { message, code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new RingloadError('data_dir_io', `read ${path}: ${message}`, { cause: error });
  }
  return parse(text, path);
}

/**
 * Membership is written before the log is begun. Where there is only a log, the file was lost or
 * is an old copy: as somebody new this peer would go on with the votes of the one it was.
 */
async function checkNoLog(dataDir: string): Promise<void> {
  const names = await readdir(raftFolder(dataDir)).catch(() => []);
  const log = names.find((name) => name.endsWith('.log'));
  if (log === undefined) return;
  throw new RingloadError(
    'data_corrupt',
    `read ${pathIn(dataDir)}: it names no cluster, but ${join(raftFolder(dataDir), log)} is there`,
  );
}

function checksumOf({ peerId: id, generation, membership }: Identity): string {
  const { clusterId: cluster, raftId: number, isEntering = false } = membership ?? {};
  const sealed = JSON.stringify([id, generation, cluster ?? null, number ?? null, isEntering]);
  return crc32(sealed).toString(16).padStart(8, '0');
}

function parse(text: string, path: string): Identity {
  let raw: Partial<Record<'format' | 'checksum' | 'peerId' | 'generation' | 'membership', unknown>>;
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
  const identity = { peerId: peerId(id), generation, ...(membership && { membership }) };
  if (raw.checksum !== checksumOf(identity)) {
    throw new RingloadError('data_corrupt', `read ${path}: its checksum fails`);
  }
  return identity;
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
