/**
 * The sample store, from which the basic suites load, beside a real S3 server: the same requests
 * must get the same answers. What differs on purpose is written down here.
 */
import { request as httpRequest } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import test from 'ava';
import { ObjectSet } from '../../src/sample/object-set.ts';
import { type SampleStore, startSampleStore } from '../../src/sample/sample-store.ts';
import { ODD_KEYS, S3_ONLY_ODD_KEYS } from '../support/odd-keys.ts';
import { requires } from '../support/requires.ts';
import { cephRgwMissing, startCephRgw } from './support/ceph-rgw.ts';
import { type RealStore, Uploader } from './support/real-store.ts';

const BUCKET = 'likeness';
const missing = cephRgwMissing();
const declare = requires(missing);

const objects = new ObjectSet([
  ['empty', 0],
  ['one', 1],
  ['ten', 10],
  ['block', 65_537],
  ...['a', 'a-', 'a!', 'a/', 'a//', 'a/b', 'a/c/d', 'a0', 'ab', 'b/1', 'b/2'].map(
    (key) => [`tree/${key}`, 3] as const,
  ),
  ...[...ODD_KEYS, ...S3_ONLY_ODD_KEYS]
    .filter((key) => Buffer.byteLength(key) <= 1_020)
    .map((key) => [`odd/${key}`, Buffer.byteLength(key)] as const),
]);

let real: RealStore;
let sample: SampleStore;

if (missing === undefined) {
  test.before(async (t) => {
    t.timeout(120_000);
    sample = await startSampleStore({ bucket: BUCKET, objects });
    real = await startCephRgw();
    using uploader = new Uploader(real, BUCKET);
    await uploader.createBucket();
    // Requests of this test are not signed, so that both servers get exactly the same bytes.
    await uploader.client.send(
      new PutBucketPolicyCommand({ Bucket: BUCKET, Policy: JSON.stringify(PUBLIC) }),
    );
    await uploader.putAll(objects.following(''));
  });
  test.after.always(async () => {
    await sample?.close();
    await real?.stop();
  });
}

const PUBLIC = {
  Version: '2012-10-17',
  Statement: [
    {
      Effect: 'Allow',
      Principal: { AWS: ['*'] },
      Action: ['s3:GetObject', 's3:ListBucket', 's3:GetBucketLocation'],
      Resource: [`arn:aws:s3:::${BUCKET}`, `arn:aws:s3:::${BUCKET}/*`],
    },
  ],
};

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
}

type Headers = Readonly<Record<string, string>>;

/** The path goes out as it is: no client in between that could tidy it up. */
function ask(endpoint: string, method: string, path: string, headers: Headers): Promise<Answer> {
  const { hostname, port } = new URL(endpoint);
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ hostname, port, method, path, headers, agent: false });
    sent.setTimeout(20_000, () => sent.destroy(new Error(`${method} ${path}: no answer`)));
    sent.on('error', reject);
    sent.on('response', (answer) => {
      const { statusCode: status = 0 } = answer;
      const flat = answer.headers as Record<string, string | undefined>;
      buffer(answer).then((body) => resolve({ status, headers: flat, body }), reject);
    });
    sent.end();
  });
}

const pathOf = (key: string): string =>
  `/${BUCKET}/${key.split('/').map(encodeURIComponent).join('/')}`;

/** What a client acts upon. ETags and times differ by nature: only their form is compared. */
function essence(method: string, { status, headers, body }: Answer): unknown {
  const isData = status === 200 || status === 206;
  return {
    status,
    ...(isData && {
      length: headers['content-length'],
      range: headers['content-range'],
      acceptRanges: headers['accept-ranges'],
      etag: /^"[0-9a-f]{32}"$/.test(headers['etag'] ?? ''),
      lastModified: Number.isFinite(Date.parse(headers['last-modified'] ?? '')),
      body: body.toString('hex').slice(0, 200),
    }),
    ...(status === 304 && { empty: body.length === 0 }),
    ...(!isData &&
      status !== 304 &&
      method === 'GET' && { code: /<Code>(\w+)<\/Code>/.exec(body.toString())?.[1] }),
  };
}

/** The same request to both; `ETAG` in a header stands for each server's own. */
async function both(method: string, path: string, headers: Headers = {}): Promise<Answer[]> {
  return Promise.all(
    [sample.endpoint, real.endpoint].map(async (endpoint) => {
      let own = headers;
      if (Object.values(headers).some((value) => value.includes('ETAG'))) {
        const { etag = '' } = (await ask(endpoint, 'HEAD', path, {})).headers;
        own = Object.fromEntries(
          Object.entries(headers).map(([name, value]) => [name, value.replace('ETAG', etag)]),
        );
      }
      return ask(endpoint, method, path, own);
    }),
  );
}

const RANGES = [
  ...['bytes=0-0', 'bytes=0-8', 'bytes=3-5', 'bytes=9-9', 'bytes=5-', 'bytes=0-', 'bytes=-3'],
  ...['bytes=0-99', 'bytes=9-99', 'bytes=-99', 'bytes=10-', 'bytes=10-10', 'bytes=99-'],
];

for (const method of ['GET', 'HEAD']) {
  declare(`sample store: ${method} with ranges is answered as by ceph rgw`, async (t) => {
    for (const key of ['ten', 'one', 'empty']) {
      for (const range of [undefined, ...RANGES]) {
        const headers: Headers = range === undefined ? {} : { range };
        const [ours, theirs] = await both(method, pathOf(key), headers);
        t.deepEqual(essence(method, ours!), essence(method, theirs!), `${key} ${range ?? 'whole'}`);
      }
    }
  });
}

const LONG_AGO = 'Thu, 01 Jan 2015 00:00:00 GMT';
const CONDITIONS: readonly Headers[] = [
  { 'if-match': 'ETAG' },
  { 'if-match': '"0123456789abcdef0123456789abcdef"' },
  { 'if-match': 'ETAG', range: 'bytes=2-3' },
  { 'if-match': '"0123456789abcdef0123456789abcdef"', range: 'bytes=2-3' },
  { 'if-none-match': 'ETAG' },
  { 'if-none-match': '"0123456789abcdef0123456789abcdef"' },
  { 'if-modified-since': LONG_AGO },
  { 'if-unmodified-since': LONG_AGO },
  { 'if-unmodified-since': LONG_AGO, range: 'bytes=2-3' },
];

declare('sample store: conditions are answered as by ceph rgw', async (t) => {
  for (const method of ['GET', 'HEAD']) {
    for (const headers of CONDITIONS) {
      const [ours, theirs] = await both(method, pathOf('ten'), headers);
      t.deepEqual(essence(method, ours!), essence(method, theirs!), JSON.stringify(headers));
    }
  }
});

declare('sample store: what does not exist is answered as by ceph rgw', async (t) => {
  const paths = [
    ...[pathOf('missing'), pathOf('tree'), pathOf('ten/'), pathOf('TEN')],
    ...['/no-such-bucket/key', '/no-such-bucket?list-type=2'],
  ];
  for (const path of paths) {
    for (const method of ['GET', 'HEAD']) {
      const [ours, theirs] = await both(method, path);
      t.deepEqual(essence(method, ours!), essence(method, theirs!), `${method} ${path}`);
    }
  }
});

declare('sample store: odd keys are found and answered as by ceph rgw', async (t) => {
  for (const { key } of objects.following('odd/')) {
    if (!key.startsWith('odd/')) break;
    const [ours, theirs] = await both('GET', pathOf(key), { range: 'bytes=1-' });
    t.deepEqual(essence('GET', ours!), essence('GET', theirs!), JSON.stringify(key));
  }
});

/** A listing as text: what is in it, in its order. */
function listing({ status, body }: Answer): unknown {
  const xml = body.toString();
  const all = (name: string): string[] =>
    [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map(([, text = '']) => text);
  return {
    status,
    keys: all('Key').map(decoded),
    sizes: all('Size'),
    prefixes: [...xml.matchAll(/<CommonPrefixes><Prefix>([^<]*)</g)].map(([, text = '']) =>
      decoded(text),
    ),
    truncated: all('IsTruncated'),
    goesOn: /<Next(?:ContinuationToken|Marker)>[^<]/.test(xml),
    code: /<Code>(\w+)</.exec(xml)?.[1],
  };
}

/** Servers may escape and encode more than they must: what a client decodes is compared. */
function decoded(text: string): string {
  return decodeURIComponent(unescaped(text).replaceAll('+', ' '));
}

function unescaped(text: string): string {
  return text
    .replaceAll(/&#x([0-9a-f]+);/gi, (_, digits: string) => codePoint(parseInt(digits, 16)))
    .replaceAll(/&#(\d+);/g, (_, digits: string) => codePoint(Number(digits)))
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&apos;', "'")
    .replaceAll('&amp;', '&');
}

const codePoint = (code: number): string => String.fromCodePoint(code);

const LISTINGS = [
  ...['', 'prefix=tree/', 'prefix=tree/a', 'prefix=tree/a/', 'prefix=nothing', 'prefix=odd/'],
  ...['delimiter=/', 'prefix=tree/&delimiter=/', 'prefix=tree/a&delimiter=/'],
  ...['prefix=tree/a/&delimiter=/', 'prefix=tree/&delimiter=/&max-keys=2'],
  ...[
    'prefix=tree/&max-keys=1',
    'prefix=tree/&max-keys=3',
    'max-keys=0',
    'prefix=tree/&max-keys=11',
  ],
];
const STARTS = ['tree/', 'tree/a', 'tree/a/', 'tree/a/b', 'tree/a/zzz', 'tree/zzz', 'a', 'zzz'];

declare('sample store: ListObjectsV2 is answered as by ceph rgw', async (t) => {
  const queries = [
    ...LISTINGS,
    ...STARTS.map((key) => `prefix=tree/&start-after=${encodeURIComponent(key)}`),
    ...STARTS.map((key) => `prefix=tree/&max-keys=2&start-after=${encodeURIComponent(key)}`),
  ];
  for (const query of queries) {
    const path = `/${BUCKET}?list-type=2&encoding-type=url${query === '' ? '' : `&${query}`}`;
    const [ours, theirs] = await both('GET', path);
    t.deepEqual(listing(ours!), listing(theirs!), query);
  }
});

declare('sample store: ListObjects V1 is answered as by ceph rgw', async (t) => {
  const queries = [
    ...LISTINGS,
    ...STARTS.map((key) => `prefix=tree/&marker=${encodeURIComponent(key)}`),
  ];
  for (const query of queries) {
    const path = `/${BUCKET}?encoding-type=url${query === '' ? '' : `&${query}`}`;
    const [ours, theirs] = await both('GET', path);
    t.deepEqual(listing(ours!), listing(theirs!), query);
  }
});

declare('sample store: pages of a listing follow each other as in ceph rgw', async (t) => {
  for (const query of ['', '&delimiter=/', '&prefix=tree/', '&prefix=odd/&delimiter=/']) {
    for (const limit of [1, 2, 7]) {
      const walk = async (endpoint: string): Promise<unknown[]> => {
        const pages: unknown[] = [];
        let token: string | undefined;
        do {
          const next =
            token === undefined ? '' : `&continuation-token=${encodeURIComponent(token)}`;
          const path = `/${BUCKET}?list-type=2&encoding-type=url&max-keys=${limit}${query}${next}`;
          const answer = await ask(endpoint, 'GET', path, {});
          pages.push(listing(answer));
          const found = /<NextContinuationToken>([^<]+)</.exec(answer.body.toString())?.[1];
          token = found === undefined ? undefined : unescaped(found);
        } while (token !== undefined && pages.length < 500);
        return pages;
      };
      t.deepEqual(
        await walk(sample.endpoint),
        await walk(real.endpoint),
        `pages of ${limit}${query}`,
      );
    }
  }
});

declare('sample store: HEAD of buckets is answered as by ceph rgw', async (t) => {
  for (const path of [`/${BUCKET}`, '/no-such-bucket']) {
    const [ours, theirs] = await both('HEAD', path);
    t.is(ours!.status, theirs!.status, path);
  }
});
