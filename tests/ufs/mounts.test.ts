import test from 'ava';

import { RingloadError } from '../../src/base/errors.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';
import { checkMount, MountTable } from '../../src/ufs/mounts.ts';

test('mounts: the longest prefix wins, by whole segments', (t) => {
  const [bucket, inner, other] = [
    new MemoryUnderStore(),
    new MemoryUnderStore(),
    new MemoryUnderStore(),
  ];
  const table = new MountTable([
    { path: 's3://b', store: bucket },
    { path: 's3://b/in/ner/', store: inner },
    { path: 'file:///data', store: other },
  ]);
  t.deepEqual(table.mounts, ['s3://b', 's3://b/in/ner', 'file:///data']);
  t.is(table.storeOf('s3://b'), bucket);
  t.is(table.storeOf('s3://b/in/nerd'), bucket);
  t.is(table.storeOf('s3://b/in/ner'), inner);
  t.is(table.storeOf('s3://b/in/ner/x'), inner);
  t.is(table.storeOf('file:///data/x'), other);
});

test('mounts: a path outside is refused with its name and the mounts', (t) => {
  const table = new MountTable([{ path: 's3://b/pub', store: new MemoryUnderStore() }]);
  for (const path of ['s3://b/public-secret', 's3://b', 's3://other/pub', 'file:///etc/passwd']) {
    const error = t.throws(() => table.storeOf(path), { instanceOf: RingloadError });
    t.is(error.code, 'path_not_mounted');
    t.true(error.message.includes(path) && error.message.includes('s3://b/pub'));
  }
  t.throws(() => table.storeOf('http://169.254.169.254/'), { message: /unknown scheme/ });
  t.throws(() => new MountTable([]).storeOf('s3://b'), { message: /none is configured/ });
});

test('mounts: the same prefix twice is refused', (t) => {
  const store = new MemoryUnderStore();
  const mounted = [
    { path: 's3://b', store },
    { path: 's3://b/', store },
  ];
  t.throws(() => new MountTable(mounted), { message: /configured twice/ });
});

const SECRET = 'hunter2hunter2';

test('mounts: a wrong mount is refused by name and rule, without its secrets', (t) => {
  const refused = (mount: Parameters<typeof checkMount>[0], rule: RegExp): void => {
    const error = t.throws(() => checkMount(mount), { instanceOf: RingloadError, message: rule });
    t.is(error.code, 'config_invalid');
    t.false(error.message.includes(SECRET));
  };
  refused({ path: 'bucket' }, /no scheme/);
  refused({ path: 's3://b', endpoint: 'localhost:9000' }, /form http/);
  refused({ path: 's3://b', endpoint: 'ftp://host' }, /form http/);
  refused({ path: 's3://b', endpoint: `http://user:${SECRET}@host` }, /carries credentials/);
  refused({ path: 's3://b', endpoint: `http://host/?secret=${SECRET}` }, /path, query/);
  refused({ path: 's3://b', endpoint: 'http://host/path' }, /path, query/);
  refused({ path: 's3://b', limits: { listTimeoutMs: 0 } }, /listTimeoutMs is 0/);
  refused({ path: 's3://b', limits: { retryMaxCount: -1 } }, /retryMaxCount is -1/);
  refused({ path: 's3://b', limits: { readTimeoutMs: 1.5 } }, /readTimeoutMs is 1.5/);
  t.is(checkMount({ path: 's3://b/', endpoint: 'http://127.0.0.1:9000' }).path, 's3://b');
});
