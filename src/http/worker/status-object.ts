/** A file or directory as Alluxio's workers tell it. */
import { formatBytes } from '../../base/units.ts';

export interface StatusFacts {
  readonly path: string;
  readonly alluxioPath: string;
  readonly isDirectory: boolean;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
  readonly version: string;
  /** Of its bytes, in the caches. */
  readonly cachedPercent: number;
}

export function statusObject(facts: StatusFacts): object {
  const { path, alluxioPath, isDirectory, sizeBytes, mtimeMs, version, cachedPercent } = facts;
  const bare = path.endsWith('/') ? path.slice(0, -1) : path;
  return {
    mType: isDirectory ? 'directory' : 'file',
    mName: bare.slice(bare.lastIndexOf('/') + 1),
    mPath: alluxioPath,
    mUfsPath: path,
    mLength: sizeBytes,
    mHumanReadableFileSize: formatBytes(sizeBytes),
    mCompleted: true,
    mOwner: '',
    mGroup: '',
    mMode: isDirectory ? '0755' : '0644',
    mCreationTimeMs: mtimeMs,
    mLastModificationTimeMs: mtimeMs,
    mLastAccessTimeMs: mtimeMs,
    mPersisted: true,
    mInAlluxioPercentage: cachedPercent,
    mContentHash: version,
  };
}
