import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import { parseTarget, Query } from '../../src/http/query.ts';

const pathIn = (rawQuery: string): string | undefined => Query.parse(rawQuery).get('path');

test('query: keys come out to the byte, typed raw or percent-encoded', (t) => {
  const keys = [
    's3://b/plain',
    's3://b/a+b',
    's3://b/a b',
    's3://b/%41%2F',
    's3://b/100%',
    's3://b/a&b=c#d?e',
    's3://b/ünï-🎈',
    's3://b/new\nline\t\u0001',
    's3://b/../x//y/./z/',
    's3://b/__proto__',
  ];
  for (const key of keys) {
    t.is(pathIn(`path=${encodeURIComponent(key)}`), key);
    t.is(pathIn(new URLSearchParams({ path: key, opType: 'submit' }).toString()), key);
  }
  t.is(pathIn('opType=submit&path=s3://b/a/../c//d'), 's3://b/a/../c//d');
  t.is(pathIn('path=s3://b/a=b'), 's3://b/a=b');
});

test('query: a plus is a plus where it was typed, a blank where a form was encoded', (t) => {
  t.is(pathIn('path=s3://b/a+b'), 's3://b/a+b');
  t.is(pathIn('path=s3%3A%2F%2Fb%2Fa+b'), 's3://b/a b');
  t.is(pathIn('path=s3://b/a%2Bb'), 's3://b/a+b');
  t.is(pathIn('path=s3%3A%2F%2Fb%2Fa%2Bb'), 's3://b/a+b');
  t.is(Query.parse('path=s3://b/p&fileFilterRegex=.+x').get('fileFilterRegex'), '.+x');
  t.is(Query.parse('path=s3%3A%2F%2Fb&fileFilterRegex=.%2Bx').get('fileFilterRegex'), '.+x');
});

test('query: decoded exactly once', (t) => {
  t.is(pathIn('path=s3://b/%2541'), 's3://b/%41');
  t.is(parseTarget('/x?path=%252F', 100).query.get('path'), '%2F');
});

test('query: paths of the URL are not folded, absolute targets lose their origin', (t) => {
  t.is(parseTarget('/a/../b/%2e%2e/c', 100).path, '/a/../b/%2e%2e/c');
  t.is(parseTarget('http://host:1/x?path=1', 100).path, '/x');
  t.is(parseTarget('http://host', 100).path, '/');
  t.is(parseTarget('*', 100).path, '*');
});

test('query: what cannot be decoded is refused, wherever it stands', (t) => {
  for (const url of [
    '/x?path=%',
    '/x?path=%4',
    '/x?path=%zz',
    '/x?other=%E0%A4%A',
    '/x?%C0%80=1',
    '/x?path=a%00b',
    '/x%00',
    '/x%ff',
  ]) {
    t.is(t.throws(() => parseTarget(url, 100), { instanceOf: RingloadError }).httpStatus, 400, url);
  }
});

test('query: its length is limited to the byte', (t) => {
  t.notThrows(() => parseTarget(`/x?${'a'.repeat(100)}`, 100));
  const error = t.throws(() => parseTarget(`/x?${'a'.repeat(101)}`, 100), {
    instanceOf: RingloadError,
  });
  t.is(error.httpStatus, 414);
});

test('query: values are single, known and of their kind when asked so', (t) => {
  const query = Query.parse('a=1&a=2&b=&c=TRUE&d&constructor=5');
  t.throws(() => query.get('a'), { message: /a is given more than once/ });
  t.throws(() => query.require('b'), { message: /b is missing/ });
  t.throws(() => query.require('zz'), { message: /zz is missing/ });
  t.true(query.boolean('c', false));
  t.true(query.boolean('zz', true));
  t.throws(() => query.boolean('d', false), { message: /must be true or false/ });
  t.throws(() => query.allowOnly('a', 'b', 'c', 'd'), { message: /'constructor' is unknown/ });
  t.is(query.get('toString'), undefined);
});
