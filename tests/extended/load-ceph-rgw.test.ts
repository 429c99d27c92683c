/** Loads from Ceph's gateway, which stores and orders every key as S3 does. */
import { ODD_KEYS, S3_ONLY_ODD_KEYS } from '../support/odd-keys.ts';
import { cephRgwMissing, startCephRgw } from './support/ceph-rgw.ts';
import { testLoads } from './support/load-suite.ts';

const PREFIX_BYTES = Buffer.byteLength('odd/');

testLoads({
  name: 'ceph rgw',
  missing: cephRgwMissing(),
  start: startCephRgw,
  // Keys of 1,024 bytes are cut, since here they all begin with a directory.
  oddKeys: [...ODD_KEYS, ...S3_ONLY_ODD_KEYS].map((key) =>
    Buffer.byteLength(key) > 1_024 - PREFIX_BYTES ? key.slice(PREFIX_BYTES) : key,
  ),
  smallCount: 500,
  largeCount: 1,
});
