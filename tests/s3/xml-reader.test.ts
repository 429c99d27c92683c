/** The XML of clients: what is read, and what costs nothing but a refusal. */
import test from 'ava';
import { S3Error } from '../../src/s3/s3-error.ts';
import { readXml } from '../../src/s3/xml-reader.ts';
import { readComplete, readDelete } from '../../src/s3/write-xml.ts';

function codeOf(call: () => unknown): string {
  try {
    call();
    return 'accepted';
  } catch (thrown) {
    return thrown instanceof S3Error ? thrown.code : String(thrown);
  }
}

test('xml: a document of a client is read, whatever it looks like', (t) => {
  const keys = ['a b', '<&>"\'', 'ü🙂', 'line\nbreak', '..', 'a//b'];
  const escaped = [
    'a b',
    '&lt;&amp;&gt;&quot;&apos;',
    'ü&#x1F642;',
    'line&#10;break',
    '..',
    'a//b',
  ];
  const objects = escaped.map((key) => `<Object>\n<Key>${key}</Key></Object>`).join('  ');
  const xml = `\uFEFF<?xml version="1.0" encoding="UTF-8"?>\n<s3:Delete xmlns:s3='http://s3.amazonaws.com/doc/2006-03-01/' a = "b">${objects}<Quiet>TRUE</Quiet></s3:Delete>\n`;
  t.deepEqual(readDelete(Buffer.from(xml)), { keys, isQuiet: true });
});

test('xml: parts come in order, by numbers that there are', (t) => {
  const part = (number: string, tag = '"a"'): string =>
    `<Part><ChecksumCRC32>x</ChecksumCRC32><ETag>${tag}</ETag><PartNumber>${number}</PartNumber></Part>`;
  const complete = (...parts: string[]): Buffer =>
    Buffer.from(`<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`);
  t.deepEqual(readComplete(complete(part('1'), part('10000', '&quot;b&quot;'))), [
    { partNumber: 1, etag: '"a"' },
    { partNumber: 10_000, etag: '"b"' },
  ]);
  for (const [parts, code] of [
    [[], 'MalformedXML'],
    [[part('2'), part('1')], 'InvalidPartOrder'],
    [[part('1'), part('1')], 'InvalidPartOrder'],
    [[part('0')], 'InvalidArgument'],
    [[part('10001')], 'InvalidArgument'],
    [[part('1e3')], 'InvalidArgument'],
    [[part('1', 'a b')], 'InvalidPart'],
    [['<Part><PartNumber>1</PartNumber></Part>'], 'InvalidPart'],
  ] as const) {
    t.is(
      codeOf(() => readComplete(complete(...parts))),
      code,
      parts.join(''),
    );
  }
});

for (const [what, text] of [
  ['a document type', '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'],
  ['a document type within', '<a><!DOCTYPE b></a>'],
  ['an unknown entity', '<a>&b;</a>'],
  ['an ampersand alone', '<a>b & c</a>'],
  ['a character that there is not', '<a>&#xD800;</a>'],
  ['no character', '<a>&#0;</a>'],
  ['a section', '<a><![CDATA[b]]></a>'],
  ['a comment', '<a><!-- b --></a>'],
  ['an instruction', '<a><?b c?></a>'],
  ['two roots', '<a/><b/>'],
  ['text outside', 'b<a/>'],
  ['text behind', '<a/>b'],
  ['ends crossed', '<a><b></a></b>'],
  ['no end', '<a>'],
  ['no beginning', '</a>'],
  ['nothing', ''],
  ['bytes that are no UTF-8', '<a>\xff</a>'],
  ['a depth', '<a>'.repeat(9) + '</a>'.repeat(9)],
  ['many elements', `<a>${'<b/>'.repeat(101)}</a>`],
  ['a long tag without end', `<a${' b="c"'.repeat(50_000)}`],
  ['blanks without end', `<a${' '.repeat(200_000)}`],
] as const) {
  test(`xml: ${what} is refused`, (t) => {
    t.is(
      codeOf(() => readXml(Buffer.from(text, 'latin1'), 100)),
      'MalformedXML',
    );
  });
}

test('xml: a thousand objects at most are deleted at once', (t) => {
  const many = (count: number): Buffer =>
    Buffer.from(`<Delete>${'<Object><Key>a</Key></Object>'.repeat(count)}</Delete>`);
  t.is(readDelete(many(1000)).keys.length, 1000);
  t.is(
    codeOf(() => readDelete(many(1001))),
    'MalformedXML',
  );
  t.is(
    codeOf(() => readDelete(many(0))),
    'MalformedXML',
  );
  const nameless = Buffer.from('<Delete><Object><Key></Key></Object></Delete>');
  t.is(
    codeOf(() => readDelete(nameless)),
    'MalformedXML',
  );
});
