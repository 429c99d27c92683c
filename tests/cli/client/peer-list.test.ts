import test from 'ava';
import { parsePeer, parsePeers, PeerList } from '../../../src/cli/client/peer-list.ts';

test('parsePeers: hosts, ports and schemes', (t) => {
  t.deepEqual(parsePeers('a, b:1 ,http://c:2/,https://D,[::1]:3,a:19999,'), [
    'http://a:19999',
    'http://b:1',
    'http://c:2',
    'https://d:19999',
    'http://[::1]:3',
  ]);
});

test('parsePeers: what is no address is refused by name', (t) => {
  for (const text of ['', ',', 'a:0', 'a:65536', 'a:x', 'a/b', 'ftp://a', 'u@a', 'a b', '::1']) {
    t.throws(() => parsePeers(text), { code: 'invalid_argument', message: /is not a peer/ }, text);
  }
});

test('PeerList: who answered is asked first, who failed last', (t) => {
  const peers = new PeerList(['http://a:1', 'http://b:1', 'http://c:1']);
  peers.prefer('http://c:1');
  t.deepEqual(peers.order(), ['http://c:1', 'http://a:1', 'http://b:1']);
  peers.demote('http://c:1');
  t.deepEqual(peers.order(), ['http://a:1', 'http://b:1', 'http://c:1']);
});

test('PeerList: learns members, keeps the named ones, forgets those that left', (t) => {
  const peers = new PeerList(['http://a:1']);
  peers.learn(['a:1', 'b:2', 'not an address', 'c:3']);
  t.deepEqual(peers.order(), ['http://a:1', 'http://b:2', 'http://c:3']);
  peers.prefer('http://c:3');
  peers.learn(['d:4', 'c:3']);
  t.deepEqual(peers.order(), ['http://c:3', 'http://a:1', 'http://d:4']);
});

test('PeerList: stays bounded in a large cluster', (t) => {
  const peers = new PeerList(['http://a:1']);
  peers.learn(Array.from({ length: 1000 }, (_, index) => `h${index}:1`));
  t.is(peers.order().length, 32);
  t.is(peers.order()[0], 'http://a:1');
  t.is(parsePeer('h'), 'http://h:19999');
});
