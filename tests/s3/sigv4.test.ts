/** Signatures: of the AWS SDK and its presigner over odd keys, and what must not pass. */
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import test from 'ava';
import fc from 'fast-check';
import { ODD_KEYS, S3_ONLY_ODD_KEYS } from '../support/odd-keys.ts';
import { encodePath, type Link, presign } from './presign.ts';
import { KEY_ID, S3World, SECRET, signed } from './support.ts';

const ODD = [...ODD_KEYS, ...S3_ONLY_ODD_KEYS];

let world: S3World;
let client: S3Client;

test.before(async () => {
  world = await S3World.open({ anonymous: false });
  world.put('a', 'bytes of a');
  for (const key of ODD) world.put(key, `bytes of ${key}`);
  client = clientOf(SECRET);
});
test.after.always(async () => {
  client.destroy();
  await world[Symbol.asyncDispose]();
});

function clientOf(secretAccessKey: string): S3Client {
  return new S3Client({
    endpoint: world.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: KEY_ID, secretAccessKey },
    maxAttempts: 1,
  });
}

test('signatures: the SDK reads odd keys, their listing and their heads', async (t) => {
  for (const key of [...ODD_KEYS, ...S3_ONLY_ODD_KEYS].filter(
    (one) => one !== '.' && one !== '..',
  )) {
    world.put(key, `bytes of ${key}`);
    const target = { Bucket: 'b', Key: key };
    const got = await client.send(new GetObjectCommand(target));
    t.is(await got.Body?.transformToString(), `bytes of ${key}`, key);
    t.is((await client.send(new HeadObjectCommand(target))).ETag, got.ETag);
    const list = { Bucket: 'b', Prefix: key, MaxKeys: 1, EncodingType: 'url' } as const;
    const { Contents = [] } = await client.send(new ListObjectsV2Command(list));
    t.is(decodeURIComponent(Contents[0]?.Key ?? ''), key);
  }
});

test('signatures: any key, header and parameter that the SDK signs is verified', async (t) => {
  const seed = Number(process.env['S3_SEED'] ?? 20_261_130);
  t.log(`S3_SEED=${seed}`);
  const anyKey = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
    .map((key) => `p/${key}`)
    .filter((key) => !/[\0\p{Surrogate}]/u.test(key));
  await fc.assert(
    fc.asyncProperty(anyKey, fc.string({ maxLength: 20 }), async (key, type) => {
      world.put(key, `bytes of ${key}`);
      const ResponseContentType = `text/${type.replace(/[^ -~]/g, '')}`;
      const got = await client.send(
        new GetObjectCommand({ Bucket: 'b', Key: key, ResponseContentType }),
      );
      return (await got.Body?.transformToString()) === `bytes of ${key}`;
    }),
    { numRuns: 150, seed },
  );
  t.pass();
});

test('signatures: a wrong secret is refused', async (t) => {
  const wrong = clientOf(`${SECRET}x`);
  await t.throwsAsync(wrong.send(new GetObjectCommand({ Bucket: 'b', Key: 'a' })), {
    name: 'SignatureDoesNotMatch',
  });
  wrong.destroy();
});

test('signatures: nobody in particular is denied where that is not configured', async (t) => {
  const reply = await world.get('/b/a');
  t.is(reply.status, 403);
  t.is(reply.code, 'AccessDenied');
  t.false(reply.body.includes('bytes'));
});

const host = (): string => new URL(world.endpoint).host;
const HOUR = 3_600_000;

for (const [what, change, code] of [
  ['the method', { method: 'HEAD' }, 'SignatureDoesNotMatch'],
  ['the path', { target: '/b/other' }, 'SignatureDoesNotMatch'],
  ['the query', { target: '/b/a?x=1' }, 'SignatureDoesNotMatch'],
  ['the host', { host: 'elsewhere' }, 'SignatureDoesNotMatch'],
  ['the secret', { secret: 'guess' }, 'SignatureDoesNotMatch'],
  ['the key id', { keyId: 'UNKNOWN' }, 'InvalidAccessKeyId'],
  ['the service', { scope: 'DAY/us-east-1/ec2/aws4_request' }, 'AuthorizationHeaderMalformed'],
  ['the terminal', { scope: 'DAY/us-east-1/s3/aws5_request' }, 'AuthorizationHeaderMalformed'],
  ['the day', { scope: '20200101/us-east-1/s3/aws4_request' }, 'AuthorizationHeaderMalformed'],
  ['the time, 16 minutes old', { age: 16 * 60_000 }, 'RequestTimeTooSkewed'],
  ['the time, an hour ahead', { age: -HOUR }, 'RequestTimeTooSkewed'],
  [
    'host, which is not signed',
    { signedHeaders: 'x-amz-content-sha256;x-amz-date' },
    'AccessDenied',
  ],
  ['the date, which is not signed', { signedHeaders: 'host;x-amz-content-sha256' }, 'AccessDenied'],
  [
    'a payload that is chunked',
    { payload: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD' },
    'InvalidRequest',
  ],
  ['a payload that is nothing', { payload: 'whatever' }, 'InvalidArgument'],
] as const) {
  test(`signatures: another one for ${what} is refused`, async (t) => {
    const now = new Date();
    const { age, ...rest } = { age: 0, ...change };
    const day = now.toISOString().slice(0, 10).replaceAll('-', '');
    const scope = 'scope' in rest ? { scope: rest.scope.replace('DAY', day) } : {};
    const at = new Date(now.getTime() - age);
    const usual = { method: 'GET', target: '/b/a', host: host(), at };
    t.is((await world.send('GET', '/b/a', signed({ ...usual, at: now }))).status, 200);
    const reply = await world.send('GET', '/b/a', signed({ ...usual, ...rest, ...scope }));
    t.is(reply.code, code);
  });
}

test('signatures: one character of the signature decides, and its length', async (t) => {
  const headers = signed({ method: 'GET', target: '/b/a', host: host() });
  const flip = (last: string): string => (last === '0' ? '1' : '0');
  const authorization = headers['authorization'] ?? '';
  const changed = authorization.slice(0, -1) + flip(authorization.slice(-1));
  for (const wrong of [changed, authorization.slice(0, -1), `${authorization}0`]) {
    const reply = await world.send('GET', '/b/a', { ...headers, authorization: wrong });
    t.is(reply.code, 'SignatureDoesNotMatch');
  }
});

test('signatures: folded and repeated header values are taken as they were signed', async (t) => {
  const headers = signed({
    ...{ method: 'GET', target: '/b/a', host: host() },
    headers: [['x-amz-meta-a', 'one two,three']],
  });
  const sent = { ...headers, 'x-amz-meta-a': [' one   two ', 'three'] };
  t.is((await world.send('GET', '/b/a', sent)).status, 200);
});

for (const [authorization, code] of [
  ['AWS KEY:c2lnbmF0dXJl', 'InvalidRequest'],
  ['Basic dTpw', 'InvalidRequest'],
  ['AWS4-ECDSA-P256-SHA256 Credential=x', 'InvalidRequest'],
  ['AWS4-HMAC-SHA256', 'InvalidRequest'],
  ['AWS4-HMAC-SHA256 Credential=x, Signature=y', 'AuthorizationHeaderMalformed'],
  [
    'AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=y',
    'AuthorizationHeaderMalformed',
  ],
] as const) {
  test(`signatures: Authorization "${authorization.slice(0, 45)}" is refused with ${code}`, async (t) => {
    const reply = await world.send('GET', '/b/a', { authorization });
    t.is(reply.code, code);
  });
}

test('signatures: version 2 in a query is refused', async (t) => {
  t.is((await world.get('/b/a?AWSAccessKeyId=x&Signature=y&Expires=1')).code, 'InvalidRequest');
});

test('signatures: a region that is configured is asked for', async (t) => {
  await using strict = await S3World.open({ anonymous: false, region: 'eu-west-1' });
  strict.put('a');
  const { host: at } = new URL(strict.endpoint);
  const reply = await strict.send(
    'GET',
    '/b/a',
    signed({ method: 'GET', target: '/b/a', host: at }),
  );
  t.is(reply.code, 'AuthorizationHeaderMalformed');
  const day = new Date().toISOString().slice(0, 10).replaceAll('-', '');
  const scope = `${day}/eu-west-1/s3/aws4_request`;
  const right = signed({ method: 'GET', target: '/b/a', host: at, scope });
  t.is((await strict.send('GET', '/b/a', right)).status, 200);
});

function presigned(link: Partial<Link> = {}): string {
  return presign({ host: host(), path: '/b/a', keyId: KEY_ID, secret: SECRET, ...link });
}

test('presigned: a link reads odd keys', async (t) => {
  for (const key of ODD) {
    const path = `/b/${encodeURIComponent(key).replaceAll('%2F', '/')}`;
    const reply = await world.get(presigned({ path }));
    t.is(reply.body.toString(), `bytes of ${key}`, key);
  }
});

test("presigned: the SDK's own signer makes links that read", async (t) => {
  const signer = await client.config.signer();
  const { hostname, port } = new URL(world.endpoint);
  for (const key of [
    'a',
    'with space',
    'plus+plus',
    'grüße/日本語',
    "it's (odd)!*",
    'a//b',
    '%41',
  ]) {
    world.put(key, `bytes of ${key}`);
    const path = `/b/${encodePath(key)}`;
    const headers = { host: host(), 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' };
    const request = {
      ...{ method: 'GET', protocol: 'http:', hostname, port: Number(port), path, headers },
      query: { 'x-id': 'GetObject' },
    };
    if (!('presign' in signer)) throw new Error('the signer does not presign');
    const sign = signer.presign as (given: unknown, options: unknown) => Promise<typeof request>;
    const { query } = await sign.call(signer, request, { expiresIn: 900 });
    const pairs = Object.entries(query).map((pair) => pair.map(encodeURIComponent).join('='));
    const reply = await world.get(`${path}?${pairs.join('&')}`);
    t.is(reply.body.toString(), `bytes of ${key}`, key);
  }
});

test('presigned: a link may name response headers', async (t) => {
  const query = {
    'response-content-type': 'text/css',
    'response-content-disposition': 'attachment; filename="ü.css"',
  };
  const reply = await world.get(presigned({ query }));
  t.is(reply.status, 200);
  t.is(reply.headers['content-type'], 'text/css');
  const disposition = String(reply.headers['content-disposition']);
  t.is(Buffer.from(disposition, 'latin1').toString(), 'attachment; filename="ü.css"');
  const split = presigned({ query: { 'response-content-type': 'a\r\nset-cookie: b' } });
  t.is((await world.get(split)).code, 'InvalidArgument');
});

for (const [what, change, status] of [
  ['a week', { expiresS: 604_800 }, 200],
  ['a second more than a week', { expiresS: 604_801 }, 403],
  ['no time', { expiresS: 0 }, 403],
  ['a minute, an hour ago', { expiresS: 60, ageMs: HOUR }, 403],
  ['an hour, half an hour ago', { expiresS: 3600, ageMs: HOUR / 2 }, 200],
  ['an hour, from in an hour on', { expiresS: 3600, ageMs: -HOUR }, 403],
] as const) {
  test(`presigned: a link for ${what} gives ${status}`, async (t) => {
    t.is((await world.get(presigned(change))).status, status);
  });
}

test('presigned: a link that was altered is refused', async (t) => {
  const link = presigned();
  t.is((await world.get(link)).status, 200);
  t.is((await world.get(link.replace('/b/a', '/b/b'))).code, 'SignatureDoesNotMatch');
  t.is((await world.get(`${link}&more=1`)).code, 'SignatureDoesNotMatch');
  t.is(
    (await world.get(link.replace(/Expires=\d+/, 'Expires=9999'))).code,
    'SignatureDoesNotMatch',
  );
  const lacks = link.replace(/&?X-Amz-Date=[^&]*/, '');
  t.is((await world.get(lacks)).code, 'AuthorizationQueryParametersError');
  t.is((await world.send('GET', link, { authorization: 'AWS a:b' })).code, 'InvalidArgument');
});
