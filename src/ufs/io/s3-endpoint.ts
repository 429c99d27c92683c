/** Where a bucket is to be found, for the usual cases; the SDK's endpoint rules know the others. */
import type { S3Client } from '@aws-sdk/client-s3';

export interface BucketEndpoint {
  readonly url: URL;
  /** What stands before `/key` in the path: `/bucket` in path style, else nothing. */
  readonly prefix: string;
}

/** A bucket name that makes a host name without further dots. */
const HOST_LABEL = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/;
/** Regions of the AWS partition proper. */
const AWS_REGION = /^(?:us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-\d$/;

/** Remembers what the SDK was asked: each request needs it, and it does not change. */
export class BucketEndpoints {
  readonly #known = new WeakMap<S3Client, Map<string, Promise<BucketEndpoint | undefined>>>();

  /** Undefined where the SDK has to decide. */
  of(client: S3Client, bucket: string, region: string): Promise<BucketEndpoint | undefined> {
    let ofClient = this.#known.get(client);
    if (!ofClient)
      this.#known.set(client, (ofClient = new Map<string, Promise<BucketEndpoint | undefined>>()));
    const name = `${region}/${bucket}`;
    let endpoint = ofClient.get(name);
    if (!endpoint) {
      endpoint = endpointOf(client, bucket, region);
      ofClient.set(name, endpoint);
      // Why: a failure is no answer; the next request asks again.
      endpoint.catch(() => ofClient.delete(name));
    }
    return endpoint;
  }
}

async function endpointOf(
  client: S3Client,
  bucket: string,
  region: string,
): Promise<BucketEndpoint | undefined> {
  const { config } = client;
  if ((await config.useFipsEndpoint()) || (await config.useDualstackEndpoint())) return undefined;
  const custom = await config.endpoint?.();
  const isLabel = HOST_LABEL.test(bucket);
  if (!custom) {
    if (!AWS_REGION.test(region) || config.forcePathStyle || !isLabel) return undefined;
    return { url: new URL(`https://${bucket}.s3.${region}.amazonaws.com`), prefix: '' };
  }
  const { protocol, hostname, port, path } = custom;
  const authority = port === undefined ? hostname : `${hostname}:${String(port)}`;
  if (path !== '' && path !== '/') return undefined;
  if (config.forcePathStyle) {
    return { url: new URL(`${protocol}//${authority}`), prefix: `/${bucket}` };
  }
  return isLabel ? { url: new URL(`${protocol}//${bucket}.${authority}`), prefix: '' } : undefined;
}
