import test from 'ava';
import { readYamlLayer, YAML_MAX_LENGTH } from '../../src/config/yaml-source.ts';
import { load, refused } from './support.ts';

for (const [title, yaml] of [
  ['empty', ''],
  ['only blanks', ' \n\n'],
  ['only a comment', '# nothing\n'],
  ['only a document mark', '---\n'],
  ['an empty map', '{}'],
  ['empty sections', 'peer:\nraft: {}\n'],
] as const) {
  test(`yaml: a file that is ${title} says nothing`, async (t) => {
    t.is((await load(t, { yaml })).config.peer.restPort, 19_999);
  });
}

test('yaml: a byte order mark and CRLF change neither values nor lines', async (t) => {
  const yaml = '\uFEFFpeer:\r\n  zone: a\r\n  restPort: 7\r\n';
  const loaded = await load(t, { yaml });
  t.like(loaded.config.peer, { zone: 'a', restPort: 7 });
  const origin = loaded.describeOrigins().find(({ key }) => key === 'peer.restPort');
  t.regex(origin!.origin, /line 3$/);
  t.regex(await refused(t, { yaml: '\uFEFFpeer:\r\n  zon: a\r\n' }), /line 2/);
});

test('yaml: what is no map of maps is refused', async (t) => {
  for (const yaml of ['text', '- a', '5', 'peer: text', 'peer: [a]', '? [a]\n: b', '1: {}']) {
    t.regex(await refused(t, { yaml }), /expected .*line 1/);
  }
});

test('yaml: syntax errors name the line', async (t) => {
  for (const yaml of [
    'peer:\n  host: "a\n',
    'peer:\n  host: a\n bad',
    'peer:\n\thost: a',
    'peer:\n  zone: a\n  zone: b',
    'peer: {}\n---\nraft: {}',
    'peer:\n  zone: !custom a',
    'peer:\n  zone: *nobody',
  ]) {
    t.regex(await refused(t, { yaml }), /line [2-4]/);
  }
});

test('yaml: aliases are resolved, alias bombs and loops are refused without expanding', async (t) => {
  const fine = 'load: {retryDelayMs: &d 700}\nufs: {retryDelayMs: *d}\n';
  t.is((await load(t, { yaml: fine })).config.ufs.retryDelayMs, 700);

  const levels = 'abcdefghij'.split('');
  const rows = levels.map((name, index) => {
    const before = levels[index - 1];
    const items = Array<string>(10).fill(before === undefined ? 'x' : `*${before}`);
    return `  - &${name} [${items.join(', ')}]`;
  });
  const bomb = `peer:\n  join:\n${rows.join('\n')}\n`;
  t.regex(await refused(t, { yaml: bomb }), /[Ee]xcessive alias count/);
  for (const yaml of [
    'peer: &p\n  join: *p\n',
    'peer: &p\n  join: [*p]\n',
    'peer: &p {*p : 1}\n',
  ]) {
    await refused(t, { yaml });
  }
});

test('yaml: depth and length are bounded', async (t) => {
  const depth = 200_000;
  const deep = `peer: {join: ${'['.repeat(depth)}${']'.repeat(depth)}}`;
  t.regex(await refused(t, { yaml: deep }), /line 1: nested too deeply/);
  const long = `# ${'x'.repeat(YAML_MAX_LENGTH)}`;
  t.regex(await refused(t, { yaml: long }), /the limit is/);
});

test('yaml: what is not UTF-8 is refused', async (t) => {
  const utf16 = Buffer.from('\uFEFFpeer: {zone: a}', 'utf16le');
  t.regex(await refused(t, { yaml: utf16 }), /not UTF-8/);
  t.regex(await refused(t, { yaml: Uint8Array.of(0x61, 0xff) }), /not UTF-8/);
});

test('yaml: each value knows its line', (t) => {
  const { layer, preset } = readYamlLayer('preset: lan\nraft:\n  tickMs: 50\n', 'f.yaml');
  t.deepEqual(layer.get('raft.tickMs'), { value: 50, origin: 'f.yaml line 3' });
  t.deepEqual(preset, { value: 'lan', origin: 'f.yaml line 1' });
});
