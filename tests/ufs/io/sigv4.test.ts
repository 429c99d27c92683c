import test from 'ava';
import { encodeKey, Sigv4Signer } from '../../../src/ufs/io/sigv4.ts';

// The identity of the examples in the documentation of Signature Version 4.
const CREDENTIALS = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
const REQUEST = {
  host: 'examplebucket.s3.amazonaws.com',
  path: '/test.txt',
  region: 'us-east-1',
  atMs: Date.UTC(2013, 4, 24),
};

test('sigv4: the example of the documentation, byte for byte', (t) => {
  // "GET Object" there signs its Range too: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
  const headers = new Sigv4Signer().sign(
    { ...REQUEST, amzHeaders: { range: 'bytes=0-9' } },
    CREDENTIALS,
  );
  t.is(
    headers['authorization'],
    'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  );
  t.is(headers['x-amz-date'], '20130524T000000Z');
});

test('sigv4: a key of another day, region or identity is another key', (t) => {
  const signer = new Sigv4Signer();
  const signature = (request: typeof REQUEST, credentials = CREDENTIALS): string =>
    signer.sign(request, credentials)['authorization']?.split('Signature=')[1] ?? '';
  const first = signature(REQUEST);
  const others = [
    signature({ ...REQUEST, atMs: REQUEST.atMs + 86_400_000 }),
    signature({ ...REQUEST, region: 'eu-west-1' }),
    signature(REQUEST, { ...CREDENTIALS, secretAccessKey: 'other' }),
    signature({ ...REQUEST, path: '/test.txt2' }),
  ];
  t.is(new Set([first, ...others]).size, 5);
  t.is(signature(REQUEST), first);
});

test('sigv4: a session token is sent and signed', (t) => {
  const headers = new Sigv4Signer().sign(REQUEST, { ...CREDENTIALS, sessionToken: 'token' });
  t.is(headers['x-amz-security-token'], 'token');
  t.regex(headers['authorization'] ?? '', /SignedHeaders=[^,]*x-amz-security-token/);
});

test('sigv4: keys are encoded once, slashes stay', (t) => {
  t.is(encodeKey("a b/ü'(*)!/%2F+?#//."), 'a%20b/%C3%BC%27%28%2A%29%21/%252F%2B%3F%23//.');
});
