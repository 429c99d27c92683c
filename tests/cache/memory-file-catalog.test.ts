import test from 'ava';

import { MemoryFileCatalog } from '../../src/cache/memory-file-catalog.ts';
import { compareUtf8 } from '../../src/cache/utf8-order.ts';
import { fileCatalogSuite } from './file-catalog-suite.ts';

fileCatalogSuite(test, 'memory catalog', () => {
  const catalog = new MemoryFileCatalog();
  return Promise.resolve({ catalog, [Symbol.asyncDispose]: () => catalog.close() });
});

test('order of UTF-8: it agrees with the bytes', (t) => {
  const texts = [
    '',
    'a',
    'ab',
    'b',
    'é',
    '\u07ff',
    '\ud7ff',
    '\ue000',
    '\uffff',
    '\u{10000}',
    '\u{10ffff}',
  ];
  for (const left of texts) {
    for (const right of texts) {
      t.is(
        Math.sign(compareUtf8(left, right)),
        Buffer.compare(Buffer.from(left), Buffer.from(right)),
        JSON.stringify([left, right]),
      );
    }
  }
});
