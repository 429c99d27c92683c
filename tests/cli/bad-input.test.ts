import test from 'ava';
import { runCli } from './support/run-cli.ts';
import { runInside } from './support/run-inside.ts';
import { sampleWorld } from './support/sample-world.ts';
import { TestPeer } from './support/test-peer.ts';

interface BadInput {
  readonly words: readonly string[];
  readonly exitCode: number;
  /** The whole line on stderr, without the program's name. */
  readonly says: string;
}

const LONG_REGEX = 'x'.repeat(1025);

const ALLUXIO: readonly BadInput[] = [
  { words: [], exitCode: 1, says: 'Did not specify an operation flag: [progress stop submit]' },
  {
    words: ['s3://b/p'],
    exitCode: 1,
    says: 'Did not specify an operation flag: [progress stop submit]',
  },
  {
    words: ['s3://b/p', '--submit', '--stop'],
    exitCode: 1,
    says: 'if any flags in the group [progress stop submit] are set none of the others can be; [stop submit] were all set',
  },
  { words: ['--submit'], exitCode: 1, says: 'required flag(s) "path" not set' },
  {
    words: ['s3://b/p', '--path', 's3://b/q', '--submit'],
    exitCode: 1,
    says: "the path is given twice: 's3://b/q' by --path and 's3://b/p' as an argument",
  },
  { words: ['--path', '', '--submit'], exitCode: 1, says: 'the path must not be empty' },
  {
    words: ['s3://b/*', '--submit'],
    exitCode: 1,
    says: "Load does not support wildcard path: 's3://b/*'",
  },
  {
    words: ['s3://b/p', '--progress', '--format', 'json'],
    exitCode: 1,
    says: "--format must be TEXT or JSON, not 'json' (did you mean JSON?)",
  },
  {
    words: ['s3://b/p', '--progress', '--format', 'XML'],
    exitCode: 1,
    says: "--format must be TEXT or JSON, not 'XML'",
  },
  {
    words: ['s3://b/p', '--progress', '--wait'],
    exitCode: 1,
    says: '--wait goes with --submit, not with --progress',
  },
  {
    words: ['s3://b/p', '--submit', '--bandwidth', '5 MB'],
    exitCode: 1,
    says: 'Fail to parse 5 MB to bytes',
  },
  {
    words: ['s3://b/p', '--submit', '--bandwidth=-5'],
    exitCode: 1,
    says: 'Fail to parse -5 to bytes',
  },
  {
    words: ['s3://b/p', '--submit', '--replicas', '0'],
    exitCode: 1,
    says: "--replicas takes a whole number from 1 to 64, not '0'",
  },
  {
    words: ['s3://b/p', '--submit', '--replicas', '65'],
    exitCode: 1,
    says: "--replicas takes a whole number from 1 to 64, not '65'",
  },
  {
    words: ['s3://b/p', '--submit', '--batch-size', '1e3'],
    exitCode: 1,
    says: "--batch-size takes a whole number from 1 to 10000, not '1e3'",
  },
  {
    words: ['s3://b/p', '--submit', '--segment-size', '1KB'],
    exitCode: 1,
    says: "--segment-size must be from 64KiB to 1GiB, not '1KB'",
  },
  {
    words: ['s3://b/p', '--submit', '--skip-if-exists', '--reload'],
    exitCode: 1,
    says: '--skip-if-exists and --reload exclude each other',
  },
  {
    words: ['s3://b/p', '--submit', '--file-filter-regx', 'a', '--file-filter-regex', 'b'],
    exitCode: 1,
    says: "--file-filter-regx 'a' and --file-filter-regex 'b' differ",
  },
  {
    words: ['s3://b/p', '--submit', '--file-filter-regx', LONG_REGEX],
    exitCode: 1,
    says: '--file-filter-regx takes at most 1024 characters, not 1025',
  },
  {
    words: ['s3://b/p', '--index-file', 's3://b/i', '--submit'],
    exitCode: 1,
    says: "--index-file 's3://b/i' and the path 's3://b/p' exclude each other",
  },
  {
    words: ['--index-file', '/no/such/list', '--submit'],
    exitCode: 1,
    says: 'cannot read the list /no/such/list: no such file or directory',
  },
  {
    words: ['s3://b/p', '--submit', '--include', '[a'],
    exitCode: 1,
    says: "glob '[a' has a [ without its ]",
  },
  {
    words: ['s3://b/p', '--submit', '--priority', 'urgent'],
    exitCode: 1,
    says: "--priority must be high, medium, low, not 'urgent'",
  },
  {
    words: ['s3://b/p', '--submit', '--modified-after', 'yesterday'],
    exitCode: 1,
    says: "--modified-after must be a time such as 2026-01-31, 2026-01-31T12:00:00Z or an age such as 36h, not 'yesterday'",
  },
  {
    words: ['s3://b/p', '--sumbit'],
    exitCode: 1,
    says: "unknown option '--sumbit' (did you mean --submit?)",
  },
  {
    words: ['s3://b/p', '--bandwidth'],
    exitCode: 1,
    says: "option '--bandwidth <size>' argument missing",
  },
  {
    words: ['s3://b/p', 's3://b/*', '--submit'],
    exitCode: 1,
    says: "Load does not support wildcard path: 's3://b/*'",
  },
  {
    words: ['s3://b/p', 's3://b/q', '--path', 's3://b/p', '--submit'],
    exitCode: 1,
    says: "the path is given twice: 's3://b/p' by --path and 's3://b/q' as an argument",
  },
].map((bad) => ({ ...bad, words: ['job', 'load', ...bad.words] }));

const OWN: readonly BadInput[] = [
  { words: ['lod'], exitCode: 2, says: "unknown command 'lod' (did you mean load?)" },
  { words: ['job', 'lsit'], exitCode: 2, says: "unknown command 'lsit' (did you mean list?)" },
  { words: ['load'], exitCode: 2, says: "missing required argument 'paths', or --index-file" },
  {
    words: ['load', 's3://b/*'],
    exitCode: 2,
    says: "Load does not support wildcard path: 's3://b/*'",
  },
  {
    words: ['load', 's3://b/p', '--max-wait', 'soon'],
    exitCode: 2,
    says: "--max-wait takes a duration such as 250ms, 2s or 1h, not 'soon'",
  },
  {
    words: ['load', 's3://b/p', '--max-wait', '0'],
    exitCode: 2,
    says: "--max-wait must be from 1ms to 24d, not '0'",
  },
  {
    words: ['job', 'list', '--timeout', '99d'],
    exitCode: 2,
    says: "--timeout must be from 1ms to 24d, not '99d'",
  },
  {
    words: ['job', 'list', '--job-state', 'RUNING'],
    exitCode: 2,
    says: "--job-state must be one of WAITING, RUNNING, VERIFYING, SUCCEEDED, FAILED, STOPPED, ALL, not 'RUNING' (did you mean RUNNING?)",
  },
  {
    words: ['job', 'status', 'a\u001b[31mb'],
    exitCode: 2,
    says: "'a\\x1b[31mb' is neither the id or alias of a job nor a path such as s3://bucket/key",
  },
  {
    words: ['cat', 's3://b/done/a.txt', '--range', '9-3'],
    exitCode: 2,
    says: "--range takes first-last or first-, counted from 0, not '9-3'",
  },
  {
    words: ['cat', 's3://b/done/a.txt', '--range', 'bytes=0-1'],
    exitCode: 2,
    says: "--range takes first-last or first-, counted from 0, not 'bytes=0-1'",
  },
  { words: ['cat', 's3://b/a', '--jason'], exitCode: 2, says: "unknown option '--jason'" },
  {
    words: ['get', 's3://b/dir/'],
    exitCode: 2,
    says: "'s3://b/dir/' has no name of its own: say which file to write",
  },
  {
    words: ['job', 'list', '--peer', 'host:99999'],
    exitCode: 2,
    says: "--peer: 'host:99999' is not a peer address: it must be host:port with a port from 1 to 65535",
  },
  {
    words: ['job', 'list', '--peer', 'http://user@host:1'],
    exitCode: 2,
    says: "--peer: 'http://user@host:1' is not a peer address: it must be host:port with a port from 1 to 65535",
  },
  {
    words: ['completion', 'bush'],
    exitCode: 2,
    says: "the shell must be bash, zsh or fish, not 'bush' (did you mean bash?)",
  },
  {
    words: ['sample-store', '--port', '70000'],
    exitCode: 2,
    says: "--port takes a whole number from 0 to 65535, not '70000'",
  },
  {
    words: ['job', 'list', '--token-file', '/nonexistent/token'],
    exitCode: 78,
    says: 'read the token file /nonexistent/token: no such file or directory',
  },
];

test.serial('bad input: is refused in one line, before any request is sent', async (t) => {
  await using peer = await TestPeer.start(sampleWorld());
  for (const { words, exitCode, says } of [...ALLUXIO, ...OWN]) {
    const result = await runInside(words, { env: { RINGLOAD_PEER: peer.address } });
    const name = words.join(' ').slice(0, 120);
    t.is(result.stderr, `ringload: ${says}\n`, name);
    t.is(result.stdout, '', name);
    t.is(result.exitCode, exitCode, name);
  }
  t.deepEqual(peer.seen, []);
});

test.serial('bad input: with --json the refusal is a JSON line on stderr', async (t) => {
  const result = await runCli(['job', 'list', '--job-state', 'x', '--json']);
  const { error } = JSON.parse(result.stderr) as { error: Record<string, unknown> };
  t.is(error['code'], 'invalid_argument');
  t.is(error['exitCode'], 2);
  t.is(result.exitCode, 2);
  t.is(result.stdout, '');
});

test.serial('bad input: a token that could add a header is refused', async (t) => {
  await using peer = await TestPeer.start(sampleWorld());
  const env = { RINGLOAD_PEER: peer.address, RINGLOAD_TOKEN: 'abc\r\nx-evil: 1' };
  const result = await runCli(['job', 'list'], { env });
  t.is(result.stderr, 'ringload: the bearer token is not one line of printable ASCII\n');
  t.is(result.exitCode, 78);
  t.deepEqual(peer.seen, []);
});
