/** Bodies in chunks, signed and unsigned: AWS's own example, every cut, and what must not pass. */
import { createHash, createHmac } from 'node:crypto';
import test from 'ava';
import { ChunkSignatures, type ChunkSigning } from '../../src/s3/chunk-signatures.ts';
import { decodeChunks } from '../../src/s3/chunked-body.ts';
import { SeededRandom } from '../../src/base/random.ts';
import { S3Error, type Field } from '../../src/s3/s3-error.ts';

/** From the documentation of Amazon S3, "Signature calculations: transferring payload in multiple chunks". */
const EXAMPLE = {
  secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  scope: '20130524/us-east-1/s3/aws4_request',
  time: '20130524T000000Z',
  seed: '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
  signatures: [
    'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
    '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
    'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
  ],
};

function signing(): ChunkSigning {
  const { secret, scope, time, seed } = EXAMPLE;
  let key: Buffer = Buffer.from(`AWS4${secret}`);
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest();
  return { key, time, scope, seed };
}

const exampleBody = (): string =>
  [
    `10000;chunk-signature=${EXAMPLE.signatures[0]}\r\n${'a'.repeat(65_536)}\r\n`,
    `400;chunk-signature=${EXAMPLE.signatures[1]}\r\n${'a'.repeat(1024)}\r\n`,
    `0;chunk-signature=${EXAMPLE.signatures[2]}\r\n\r\n`,
  ].join('');

async function* inPieces(text: string, sizeOf: () => number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text, 'latin1');
  for (let at = 0; at < bytes.length;) {
    const size = sizeOf();
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

interface Decoded {
  readonly text: string;
  readonly trailer: readonly Field[];
}

async function decode(
  body: string,
  form: { readonly isSigned?: boolean; readonly trailerNames?: readonly string[] } = {},
  sizeOf: () => number = () => 1000,
): Promise<Decoded> {
  const trailer: Field[] = [];
  const chunks = decodeChunks(inPieces(body, sizeOf), {
    trailerNames: form.trailerNames ?? [],
    onTrailer: (field) => void trailer.push(field),
    ...(form.isSigned === true && { signatures: new ChunkSignatures(signing()) }),
  });
  const pieces: Uint8Array[] = [];
  for await (const piece of chunks) pieces.push(piece);
  return { text: Buffer.concat(pieces).toString('latin1'), trailer };
}

async function codeOf(decoding: Promise<unknown>): Promise<string> {
  try {
    await decoding;
    return 'accepted';
  } catch (thrown) {
    return thrown instanceof S3Error ? thrown.code : String(thrown);
  }
}

const SEED = Number(process.env['S3_SEED'] ?? 1);

test(`chunks: the example of AWS is accepted, however it is cut (seed ${SEED})`, async (t) => {
  const random = new SeededRandom(SEED);
  for (const sizeOf of [() => 1_000_000, () => 1, () => 1 + Math.floor(random.next() * 2000)]) {
    const { text } = await decode(exampleBody(), { isSigned: true }, sizeOf);
    t.is(text, 'a'.repeat(66_560));
  }
});

test('chunks: unsigned ones with a checksum behind them', async (t) => {
  const body = '5\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-Amz-Checksum-CRC32: abc= \r\n\r\n';
  const names = ['x-amz-checksum-crc32'];
  for (const size of [1, 2, 3, 1000]) {
    const { text, trailer } = await decode(body, { trailerNames: names }, () => size);
    t.is(text, 'hello0123456789');
    t.deepEqual(trailer, [['x-amz-checksum-crc32', 'abc=']]);
  }
  t.is((await decode(body.slice(0, -2), { trailerNames: names })).text, 'hello0123456789');
});

test('chunks: fields behind signed ones are signed, too', async (t) => {
  const { key, time, scope, seed } = signing();
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
  let previous = seed;
  const sign = (kind: string, hashes: string): string => {
    const toSign = `AWS4-HMAC-SHA256-${kind}\n${time}\n${scope}\n${previous}\n${hashes}`;
    previous = createHmac('sha256', key).update(toSign).digest('hex');
    return previous;
  };
  const chunk = (text: string): string =>
    `${text.length.toString(16)};chunk-signature=${sign('PAYLOAD', `${sha256('')}\n${sha256(text)}`)}\r\n${text}${text === '' ? '' : '\r\n'}`;
  const field = 'x-amz-checksum-crc32c:sOO8/Q==';
  const start = chunk('hello') + chunk('');
  const end = `${field}\r\nx-amz-trailer-signature:${sign('TRAILER', sha256(`${field}\n`))}\r\n\r\n`;
  const form = { isSigned: true, trailerNames: ['x-amz-checksum-crc32c'] };
  t.is((await decode(start + end, form)).text, 'hello');
  t.is(await codeOf(decode(start + end.replace('sOO8', 'sOO9'), form)), 'SignatureDoesNotMatch');
  t.is(await codeOf(decode(`${start}${field}\r\n\r\n`, form)), 'SignatureDoesNotMatch');
});

const NAMES = ['x-amz-checksum-crc32'];
for (const [what, body, isSigned, code] of [
  ['a changed byte', exampleBody().replace('aaa', 'aab'), true, 'SignatureDoesNotMatch'],
  [
    'a chunk left out',
    exampleBody().replace(/400;[^]*?\r\na+\r\n/, ''),
    true,
    'SignatureDoesNotMatch',
  ],
  [
    'no last chunk',
    exampleBody().replace(/0;chunk-signature=b6.*\r\n\r\n/, ''),
    true,
    'IncompleteBody',
  ],
  ['chunks without a signature', '1\r\na\r\n0\r\n\r\n', true, 'IncompleteBody'],
  ['chunks with a signature that nobody announced', exampleBody(), false, 'IncompleteBody'],
  ['a chunk shorter than it says', '9\r\nabc\r\n0\r\n\r\n', false, 'IncompleteBody'],
  ['a chunk longer than it says', '2\r\nabc\r\n0\r\n\r\n', false, 'IncompleteBody'],
  ['a size that is none', 'xyz\r\nabc\r\n0\r\n\r\n', false, 'IncompleteBody'],
  ['a negative size', '-5\r\nabc\r\n0\r\n\r\n', false, 'IncompleteBody'],
  ['a size beyond all numbers', `${'f'.repeat(17)}\r\nabc`, false, 'IncompleteBody'],
  ['a size that never ends', '1'.repeat(100_000), false, 'IncompleteBody'],
  ['nothing at all', '', false, 'IncompleteBody'],
  ['something behind the end', '0\r\n\r\nmore', false, 'IncompleteBody'],
  ['a field that was not announced', '0\r\nx-amz-meta-a:b\r\n\r\n', false, 'IncompleteBody'],
  ['a field that never ends', `0\r\n${NAMES[0]}:${'b'.repeat(100_000)}`, false, 'IncompleteBody'],
  ['fields without end', `0\r\n${`${NAMES[0]}:b\r\n`.repeat(1000)}`, false, 'IncompleteBody'],
] as const) {
  test(`chunks: ${what} are refused`, async (t) => {
    const trailerNames = isSigned ? [] : NAMES;
    for (const size of [7, 100_000]) {
      t.is(await codeOf(decode(body, { isSigned, trailerNames }, () => size)), code);
    }
  });
}
