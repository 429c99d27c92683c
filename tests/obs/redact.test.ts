import test from 'ava';
import { REDACTED, Redactor } from '../../src/obs/redact.ts';

const redactor = new Redactor(['0123456789abcdef', 'short']);

test('redact: fields that are secrets by name are blanked, places and counts are not', (t) => {
  const fields = {
    authorization: 'x',
    'X-Amz-Security-Token': 'x',
    clusterSecret: 'x',
    password: 'x',
    cookie: 'x',
    secretAccessKey: 'x',
    tokenCount: 5,
    secretFile: '/etc/secret',
    credentialsPath: '/p',
    job: 'j',
    absent: undefined,
  };
  t.deepEqual(redactor.fields(fields), {
    ...fields,
    authorization: REDACTED,
    'X-Amz-Security-Token': REDACTED,
    clusterSecret: REDACTED,
    password: REDACTED,
    cookie: REDACTED,
    secretAccessKey: REDACTED,
  });
});

test('redact: only the secret part of a text goes', (t) => {
  const cases: readonly [given: string, expected: string][] = [
    ['GET /b?X-Amz-Signature=ab12&part=1', `GET /b?X-Amz-Signature=${REDACTED}&part=1`],
    ['{"x-amz-security-token":"ab12","a":1}', `{"x-amz-security-token":"${REDACTED}","a":1}`],
    ['Authorization: Bearer ab.cd', `Authorization: Bearer ${REDACTED}`],
    ['authorization=ab12; x', `authorization=${REDACTED}; x`],
    ['basic dXNlcjpwYXNz end', `basic ${REDACTED} end`],
    ['https://u:p@h/x', `https://${REDACTED}h/x`],
    ['key 0123456789abcdef here', `key ${REDACTED} here`],
    ['0123456789abcdef0123456789abcdef', `${REDACTED}${REDACTED}`],
    ['a short text', 'a short text'],
    ['s3://bucket/signature/bearer.bin', 's3://bucket/signature/bearer.bin'],
    ['s3://bucket/a@b:c', 's3://bucket/a@b:c'],
    ['', ''],
  ];
  for (const [given, expected] of cases) t.is(redactor.text(given), expected);
});

test('redact: hostile text takes no time to speak of', (t) => {
  for (const part of [
    'authorization ',
    '://a:',
    'x-amz-signature=',
    'basic AAAA',
    'bearer ',
    ':',
    'a:',
  ]) {
    t.true(redactor.text(`://${part.repeat(50_000)}`).length <= 4_200);
  }
});
