/** ListObjects V1 and V2, ListBuckets, HeadBucket and GetBucketLocation, as clients meet them. */
import test from 'ava';
import { comparePaths } from '../../src/ufs/path.ts';
import { ODD_KEYS, S3_ONLY_ODD_KEYS } from '../support/odd-keys.ts';
import { S3World } from './support.ts';

const KEYS = ['asdf', 'boo/bar', 'boo/baz/xyzzy', 'cquux/thud', 'cquux/bla', 'zoo'];

async function worldOf(
  t: { teardown(end: () => Promise<void>): void },
  keys = KEYS,
): Promise<S3World> {
  const world = await S3World.open();
  for (const key of keys) world.put(key);
  t.teardown(() => world[Symbol.asyncDispose]());
  return world;
}

for (const version of ['', 'list-type=2&'] as const) {
  const name = version === '' ? 'V1' : 'V2';
  const startName = version === '' ? 'marker' : 'start-after';

  test(`listing ${name}: all keys, in order, with what is known of them`, async (t) => {
    const { status, keys, groups, one, xml } = await (await worldOf(t)).list(version);
    t.is(status, 200);
    t.deepEqual(keys, [...KEYS].sort());
    t.deepEqual(groups, []);
    t.is(one('IsTruncated'), 'false');
    t.is(one('Name'), 'b');
    t.is(one('MaxKeys'), '1000');
    t.true(xml.includes('<ETag>&quot;v1&quot;</ETag>'));
    t.true(xml.includes('<LastModified>2026-01-31T12:00:00.700Z</LastModified>'));
    t.is(one('KeyCount'), version === '' ? undefined : '6');
  });

  for (const [query, keys, groups] of [
    ['delimiter=/', ['asdf', 'zoo'], ['boo/', 'cquux/']],
    ['delimiter=/&prefix=boo/', ['boo/bar'], ['boo/baz/']],
    ['delimiter=/&prefix=boo', [], ['boo/']],
    ['prefix=boo/ba', ['boo/bar', 'boo/baz/xyzzy'], []],
    ['prefix=nothing', [], []],
    ['prefix=', [...KEYS].sort(), []],
    ['delimiter=', [...KEYS].sort(), []],
    ['delimiter=a', ['cquux/thud', 'zoo'], ['a', 'boo/ba', 'cquux/bla']],
    ['delimiter=%20', [...KEYS].sort(), []],
    ['delimiter=oo', ['asdf', 'cquux/bla', 'cquux/thud'], ['boo', 'zoo']],
    [`${startName}=boo/bar`, ['boo/baz/xyzzy', 'cquux/bla', 'cquux/thud', 'zoo'], []],
    [`${startName}=bar`, ['boo/bar', 'boo/baz/xyzzy', 'cquux/bla', 'cquux/thud', 'zoo'], []],
    [`${startName}=zoo`, [], []],
    [`delimiter=/&${startName}=boo/`, ['zoo'], ['cquux/']],
    [`delimiter=/&${startName}=boo/bar`, ['zoo'], ['boo/', 'cquux/']],
    ['prefix=b&encoding-type=url', ['boo/bar', 'boo/baz/xyzzy'], []],
    ['max-keys=0', [], []],
    ['max-keys=', [...KEYS].sort(), []],
  ] as const) {
    test(`listing ${name}: ${query}`, async (t) => {
      const listing = await (await worldOf(t)).list(version + query);
      t.is(listing.status, 200);
      t.deepEqual(listing.keys, keys);
      t.deepEqual(listing.groups, groups);
      t.is(listing.one('IsTruncated'), 'false');
    });
  }

  for (const delimiter of ['', '/']) {
    for (const size of [1, 2, 3]) {
      test(`listing ${name}: pages of ${size}, delimiter "${delimiter}", give everything once`, async (t) => {
        const world = await worldOf(t);
        const seen: string[] = [];
        let next: string | undefined;
        for (let page = 0; page < 10; page++) {
          const at = version === '' ? 'marker' : 'continuation-token';
          const from = next === undefined ? '' : `&${at}=${encodeURIComponent(next)}`;
          const listing = await world.list(
            `${version}delimiter=${delimiter}&max-keys=${size}${from}`,
          );
          const found = [...listing.keys, ...listing.groups];
          t.true(found.length <= size);
          seen.push(...found.sort());
          next = listing.one(version === '' ? 'NextMarker' : 'NextContinuationToken');
          t.is(listing.one('IsTruncated'), String(next !== undefined));
          if (next === undefined) break;
        }
        t.deepEqual(seen, delimiter === '' ? [...KEYS].sort() : ['asdf', 'boo/', 'cquux/', 'zoo']);
      });
    }
  }

  for (const query of ['max-keys=blah', 'max-keys=-1', 'encoding-type=base64']) {
    test(`listing ${name}: ${query} is refused`, async (t) => {
      const listing = await (await worldOf(t)).list(version + query);
      t.is(listing.status, 400);
      t.is(listing.code, 'InvalidArgument');
    });
  }

  test(`listing ${name}: odd keys come in the order of their bytes and decode to themselves`, async (t) => {
    const odd = [...ODD_KEYS, ...S3_ONLY_ODD_KEYS];
    const world = await worldOf(t, odd);
    const { keys } = await world.list(`${version}encoding-type=url`);
    t.deepEqual(keys.map(decodeURIComponent), [...odd].sort(comparePaths));
  });
}

test('listing: owners are told by V1, and by V2 on demand', async (t) => {
  const world = await worldOf(t);
  t.true((await world.list('')).xml.includes('<Owner><ID>'));
  t.false((await world.list('list-type=2')).xml.includes('<Owner>'));
  t.true((await world.list('list-type=2&fetch-owner=true')).xml.includes('<Owner><ID>'));
});

test('listing: a token of somebody else is refused, an empty one is the start', async (t) => {
  const world = await worldOf(t);
  t.is((await world.list('list-type=2&continuation-token=wrong!')).code, 'InvalidArgument');
  t.is((await world.list('list-type=2&continuation-token=')).keys.length, KEYS.length);
});

test('listing: more than a page of groups is passed without walking them', async (t) => {
  const world = await worldOf(t, []);
  for (let i = 0; i < 30; i++) for (let j = 0; j < 50; j++) world.put(`g${i}/${j}`);
  let listCount = 0;
  world.reads.under.onCall = () => {
    listCount++;
  };
  const { groups } = await world.list('delimiter=/');
  t.is(groups.length, 30);
  t.true(listCount <= 3, `${listCount} listings`);
});

test('listing: a mounted prefix lists what lies below it, and groups above it', async (t) => {
  const world = await S3World.open({ mounts: ['s3://b/data/train', 's3://b/data/x', 's3://b/z'] });
  t.teardown(() => world[Symbol.asyncDispose]());
  for (const key of [
    'data/train/1',
    'data/train/2',
    'data/trainer',
    'data/x/9',
    'other',
    'z/a/b',
  ]) {
    world.put(key);
  }
  t.deepEqual((await world.list('')).keys, ['data/train/1', 'data/train/2', 'data/x/9', 'z/a/b']);
  t.deepEqual((await world.list('delimiter=/')).groups, ['data/', 'z/']);
  t.deepEqual((await world.list('delimiter=/&prefix=data/')).groups, ['data/train/', 'data/x/']);
  t.deepEqual((await world.list('delimiter=/&prefix=data/train/')).keys, [
    'data/train/1',
    'data/train/2',
  ]);
  t.deepEqual((await world.list('prefix=other')).keys, []);
  const first = await world.list('max-keys=2');
  t.is(first.one('IsTruncated'), 'true');
  t.deepEqual((await world.list(`marker=${first.one('NextMarker') ?? ''}`)).keys, [
    'data/x/9',
    'z/a/b',
  ]);
  t.is((await world.list('max-keys=4')).one('IsTruncated'), 'false');
});

test('buckets: the mounts, a directory by its name', async (t) => {
  const mounts = [
    's3://b',
    's3://a/x',
    's3://a/y',
    'file:///mnt/images',
    'file:///other/b',
    'file:///no good',
  ];
  const world = await S3World.open({ mounts });
  t.teardown(() => world[Symbol.asyncDispose]());
  const names = async (query: string): Promise<string[]> => {
    const { body } = await world.get(`/?${query}`);
    return [...body.toString().matchAll(/<Name>([^<]*)</g)].map(([, name = '']) => name);
  };
  t.deepEqual(await names(''), ['a', 'b', 'images']);
  t.deepEqual(await names('max-buckets=2'), ['a', 'b']);
  t.deepEqual(await names('continuation-token=b'), ['images']);
  t.deepEqual(await names('prefix=im'), ['images']);
  world.put('1.png', 'png', 'file:///mnt/images');
  t.is((await world.get('/images/1.png')).body.toString(), 'png');
});

test('buckets: HEAD, location, and one that is not there', async (t) => {
  const world = await worldOf(t);
  const head = await world.send('HEAD', '/b');
  t.is(head.status, 200);
  t.is(head.headers['x-amz-bucket-region'], 'us-east-1');
  t.is((await world.send('HEAD', '/b/')).status, 200);
  t.is((await world.send('HEAD', '/other')).status, 404);
  t.is((await world.list('', 'other')).code, 'NoSuchBucket');
  const location = await world.get('/b?location');
  t.regex(location.body.toString(), /<LocationConstraint xmlns="[^"]*"><\/LocationConstraint>$/);
});
