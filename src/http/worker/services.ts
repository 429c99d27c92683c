/** What the doors of the worker port need beside the services of every port. */
import type { ListPage, ListRequest } from '../../ufs/under-store.ts';

export interface UfsInfo {
  /** As the S3 endpoint serves it: `/bucket`. */
  readonly alluxioPath: string;
  readonly endpoint: string;
  /** Empty unless the operator lets clients have them. */
  readonly accessKey: string;
  readonly secretKey: string;
}

export interface WorkerServices {
  /** A page of what the under store has. @throws path_not_mounted, ufs_* */
  readonly list: (request: ListRequest) => Promise<ListPage>;
  /** Prefixes that may be read. */
  readonly mounts: readonly string[];
  /** Where the S3 endpoint serves a path, `/bucket/key`; undefined: nowhere. */
  readonly alluxioPathOf: (path: string) => string | undefined;
  /** The path of `/bucket/key`; undefined: of no mount. */
  readonly pathOf: (alluxioPath: string) => string | undefined;
  /** By prefix, the longest first. */
  readonly ufsInfo: () => Promise<ReadonlyMap<string, UfsInfo>>;
  /** What a missing file is answered with at `/v1/info`: 404, or 500 for older clients. */
  readonly missingStatus: 404 | 500;
  /** The port that is listened on. */
  readonly port: () => number;
}
