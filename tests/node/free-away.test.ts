/** Whole nodes: a free holds for a peer that was away when it was asked for. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { CheckReport, FreeReport } from '../../src/residence/report.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { ready, startNode, type TestNode } from './support/test-node.ts';

const DEADLINE_MS = 30_000;
const FILE_BYTES = 100_000;

async function reportOf<Report>(response: Response): Promise<Report> {
  const last = (await response.text()).trim().split('\n').at(-1) ?? '{}';
  const { report } = JSON.parse(last) as { report?: Report };
  if (!report) throw new Error(last);
  return report;
}

async function free({ node }: TestNode, path: string): Promise<FreeReport> {
  const response = await fetch(`http://${node.restAddress}/v1/cache/free`, {
    method: 'POST',
    body: JSON.stringify({ path }),
    headers: { 'content-type': 'application/json' },
  });
  return reportOf(response);
}

async function check({ node }: TestNode, path: string): Promise<CheckReport> {
  const query = new URLSearchParams({ path });
  return reportOf(await fetch(`http://${node.restAddress}/v1/cache/check?${query.toString()}`));
}

async function load({ api }: TestNode, path: string, replicas: number): Promise<void> {
  const { jobId } = await api.submit({ path, replicas, segmentSize: 65_536 });
  await waitFor(async () => (await api.job(jobId)).state === 'SUCCEEDED', {
    what: 'the load to succeed',
    deadlineMs: DEADLINE_MS,
  });
}

test('nodes: a peer that was away lets go of what was freed, and of nothing that was loaded since', async (t) => {
  t.timeout(120_000);
  await using folder = await tempFolder('nodes');
  const mount = join(folder.path, 'ufs');
  await mkdir(join(mount, 'set'), { recursive: true });
  const put = (number: number, text: string): Promise<void> =>
    writeFile(join(mount, 'set', `f${number}`), Buffer.alloc(FILE_BYTES, text));
  for (let number = 0; number < 4; number += 1) await put(number, `old ${number} `);
  const root = `file://${mount}/set`;
  const start = (name: string, members: readonly TestNode[] = []): Promise<TestNode> =>
    startNode({
      ...{ dataDir: join(folder.path, name), mount },
      join: members.map(({ node }) => node.restAddress),
    });
  await using a = await start('a');
  await ready(a);
  await using b = await start('b', [a]);
  const c = await start('c', [a, b]);
  try {
    await Promise.all([ready(b), ready(c)]);
    await load(a, root, 3);
  } finally {
    await c[Symbol.asyncDispose]();
  }
  const report = await free(a, root);
  t.false(report.complete);
  t.deepEqual(
    report.peers.flatMap(({ id, error }) => (error === undefined ? [] : [id])),
    [c.node.peerId],
  );
  await load(b, `${root}/f0`, 2);
  await put(1, 'new ');

  await using again = await start('c');
  await ready(again);
  await waitFor(
    async () => {
      const { states, residentBytes, unanswered } = await check(again, root);
      return unanswered.length === 0 && states.loaded === 1 && residentBytes === FILE_BYTES;
    },
    { what: 'the peer that is back to let go', deadlineMs: DEADLINE_MS },
  );
  const { files } = await again.api.json<{ readonly files: readonly { readonly path: string }[] }>(
    'GET',
    `/v1/files/list?root=${encodeURIComponent(root)}`,
  );
  t.deepEqual(
    files.map(({ path }) => path),
    [`${root}/f0`],
  );
  const read = (node: TestNode, number: number): Promise<Buffer> =>
    node.api.readFile(`${root}/f${number}`);
  for (const node of [a, b, again]) {
    t.true((await read(node, 0)).equals(Buffer.alloc(FILE_BYTES, 'old 0 ')));
    t.true((await read(node, 1)).equals(Buffer.alloc(FILE_BYTES, 'new ')), 'as the store has it');
  }
  t.like(await free(b, root), { complete: true });
});
