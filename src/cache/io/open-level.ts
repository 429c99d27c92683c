/**
 * Opens the LevelDB of the file catalogue, whatever state a crash or the disk left it in: damaged
 * tables are set aside before LevelDB sees them, and what is left is repaired.
 */
import { mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';

import { RingloadError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { cacheIoError } from './cache-io-error.ts';
import { damageOfTable } from './level-table-check.ts';

export type Level = ClassicLevel;

const TABLE_NAME = /^\d+\.(?:ldb|sst)$/;
/** Where LevelDB's own repair puts what it does not use. */
const LOST_FOLDER = 'lost';
const LOCK_FOLDER = 'lock';

/**
 * Locks the directory for this process until the returned one is closed, or the process ends, in
 * whatever way. It is an empty LevelDB of its own, so that the catalogue can be closed, repaired
 * and opened under the lock, and that other directories can be locked the same way.
 * @param what names the directory in errors
 * @throws data_dir_locked, cache_io
 */
export async function lockLevel(directoryPath: string, what = 'file catalog'): Promise<Level> {
  const path = join(directoryPath, LOCK_FOLDER);
  const open = async (): Promise<Level> => {
    const lock: Level = new ClassicLevel(path);
    await lock.open();
    return lock;
  };
  try {
    await mkdir(directoryPath, { recursive: true, mode: 0o700 });
    return await open();
  } catch (error) {
    if (isLocked(error)) throw lockedError(directoryPath, error, what);
  }
  try {
    // Why: it holds nothing, so whatever is wrong with it goes away with it.
    await ClassicLevel.destroy(path);
    return await open();
  } catch (error) {
    if (isLocked(error)) throw lockedError(directoryPath, error, what);
    throw cacheIoError(`lock the ${what} ${directoryPath}`, causeOf(error));
  }
}

/** @throws data_dir_locked, data_corrupt, cache_io */
export async function openLevel(
  directoryPath: string,
  logger: Logger,
): Promise<{ readonly level: Level; readonly isRepaired: boolean }> {
  let reason = await setDamagedTablesAside(directoryPath, logger);
  // Why not before: a new object opens itself, and LevelDB then removes and replaces tables.
  const level = newLevel(directoryPath);
  try {
    await level.open();
    if (reason === undefined) return { level, isRepaired: false };
    await level.close();
  } catch (error) {
    if (isLocked(error)) throw lockedError(directoryPath, error);
    if (!isDamage(error)) {
      throw cacheIoError(`open the file catalog ${directoryPath}`, causeOf(error));
    }
    reason ??= String(causeOf(error).message);
  }
  logger.warn('repairing the file catalogue: files it lost count as not loaded', { reason });
  try {
    await ClassicLevel.repair(directoryPath);
    const repaired = newLevel(directoryPath);
    await repaired.open();
    return { level: repaired, isRepaired: true };
  } catch (error) {
    throw new RingloadError('data_corrupt', `repair the file catalog ${directoryPath}: ${reason}`, {
      cause: error,
    });
  }
}

function newLevel(directoryPath: string): Level {
  return new ClassicLevel(directoryPath, { valueEncoding: 'utf8' });
}

/** Damaged tables go where LevelDB does not look; returns what was wrong with one of them. */
async function setDamagedTablesAside(
  directoryPath: string,
  logger: Logger,
): Promise<string | undefined> {
  let reason: string | undefined;
  try {
    for (const name of await readdir(directoryPath)) {
      if (!TABLE_NAME.test(name)) continue;
      const file = join(directoryPath, name);
      const damage = await damageOfTable(file);
      if (damage === undefined) continue;
      reason = `${file}: ${damage}`;
      logger.error('a table of the file catalogue is damaged', { file, reason: damage });
      await mkdir(join(directoryPath, LOST_FOLDER), { recursive: true });
      await rename(file, join(directoryPath, LOST_FOLDER, name));
    }
  } catch (error) {
    throw cacheIoError(`check the file catalog ${directoryPath}`, error);
  }
  return reason;
}

/** Why the missing file: a damaged CURRENT names a manifest that was never there. */
function isDamage(error: unknown): boolean {
  const { code, message } = causeOf(error);
  return code === 'LEVEL_CORRUPTION' || /No such file/.test(String(message));
}

function isLocked(error: unknown): boolean {
  return causeOf(error).code === 'LEVEL_LOCKED';
}

export function isCorruption(error: unknown): boolean {
  return causeOf(error).code === 'LEVEL_CORRUPTION';
}

function lockedError(directoryPath: string, cause: unknown, what = 'file catalog'): RingloadError {
  const message = `open the ${what} ${directoryPath}: another process uses it`;
  return new RingloadError('data_dir_locked', message, { cause });
}

/** LevelDB's own words; the wrapper only says that the database did not open. */
function causeOf(error: unknown): { code?: unknown; message?: unknown } {
  const { cause } = error as { cause?: { code?: unknown; message?: unknown } };
  return cause ?? (error as { code?: unknown; message?: unknown });
}
