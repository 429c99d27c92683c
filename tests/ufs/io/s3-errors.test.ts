import test from 'ava';
import { classifyS3Failure } from '../../../src/ufs/io/s3-errors.ts';

const failedLookup = (hostname: string): Error =>
  Object.assign(new Error('lookup'), { code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname });

test('s3 errors: a name that cannot be resolved is told, if it is one', (t) => {
  const messageOf = (hostname: string): string =>
    classifyS3Failure(failedLookup(hostname), 'list s3://b/d').error.message;
  t.is(
    messageOf('b.store.example'),
    'cannot list s3://b/d: ENOTFOUND; the name b.store.example cannot be resolved',
  );
  t.is(messageOf('a name\nwith what no name has'), 'cannot list s3://b/d: ENOTFOUND');
});
