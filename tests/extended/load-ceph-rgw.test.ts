/** Loads from Ceph's gateway, which stores and orders every key as S3 does. */
import { ODD_KEYS, S3_ONLY_ODD_KEYS } from '../support/odd-keys.ts';
import { cephRgwMissing, startCephRgw } from './support/ceph-rgw.ts';
import { testLoads } from './support/load-suite.ts';

testLoads({
  name: 'ceph rgw',
  missing: cephRgwMissing(),
  start: () => startCephRgw(),
  oddKeys: [...ODD_KEYS, ...S3_ONLY_ODD_KEYS],
  smallCount: 500,
  largeCount: 1,
});
