/** The bearer token of the data endpoints: proof of the cluster's secret, bound to the cluster. */
import { createHmac } from 'node:crypto';
import type { ClusterId } from '../base/ids.ts';

export function dataToken(secret: string, cluster: ClusterId): string {
  return createHmac('sha256', secret)
    .update(`ringload data endpoint\0${cluster}`)
    .digest('base64url');
}
