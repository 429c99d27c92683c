/** Parameters of a query that decide what is asked for, and those that ask for what is not here. */
import { S3Error } from './s3-error.ts';
import { queryValue, type Target } from './target.ts';

/** Each makes another request of the same method and path. */
const SUB_RESOURCES = new Set([
  'accelerate',
  'acl',
  'analytics',
  'attributes',
  'cors',
  'encryption',
  'intelligent-tiering',
  'inventory',
  'legal-hold',
  'lifecycle',
  'logging',
  'metadataConfiguration',
  'metadataTable',
  'metrics',
  'notification',
  'object-lock',
  'ownershipControls',
  'policy',
  'policyStatus',
  'publicAccessBlock',
  'replication',
  'requestPayment',
  'retention',
  'session',
  'tagging',
  'torrent',
  'uploadId',
  'uploads',
  'versioning',
  'versions',
  'website',
]);

/** @throws S3Error naming it */
export function refuseSubResources({ query }: Target): void {
  const asked = query.find(([name]) => SUB_RESOURCES.has(name));
  if (asked) {
    throw new S3Error('NotImplemented', `The sub-resource ?${asked[0]} is not implemented.`);
  }
  const version = query.find(([name]) => name === 'versionId');
  if (version && version[1] !== 'null') {
    throw new S3Error('NotImplemented', 'Versions of objects are not served by their id.');
  }
}

const PART_MAX_NUMBER = 10_000;

/** @throws S3Error */
export function partNumberOf(target: Target): number | undefined {
  const text = queryValue(target, 'partNumber');
  if (text === undefined) return undefined;
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= PART_MAX_NUMBER) return number;
  const message = `Part number must be an integer between 1 and ${PART_MAX_NUMBER}, inclusive`;
  throw new S3Error('InvalidArgument', message);
}

const BUCKET_MAX_COUNT = 10_000;

/** @throws S3Error */
export function bucketLimitOf(target: Target): number {
  const text = queryValue(target, 'max-buckets');
  if (text === undefined) return BUCKET_MAX_COUNT;
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= BUCKET_MAX_COUNT) return number;
  throw new S3Error('InvalidArgument', `max-buckets must be from 1 to ${BUCKET_MAX_COUNT}`);
}
