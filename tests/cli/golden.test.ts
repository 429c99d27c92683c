import test from 'ava';
import { isRewriting, outputText, readGolden, wordsOf, writeGolden } from './support/golden.ts';
import { runInside } from './support/run-inside.ts';
import { sampleWorld } from './support/sample-world.ts';
import { TestPeer } from './support/test-peer.ts';

for (const name of ['load', 'jobs', 'files', 'cache', 'cluster', 'local']) {
  test.serial(`golden: ${name} prints what the script says`, async (t) => {
    await using peer = await TestPeer.start(sampleWorld());
    const runs = await readGolden(name);
    t.true(runs.length > 0);
    const seen = [];
    for (const { command, output } of runs) {
      const [, ...words] = wordsOf(command);
      const result = await runInside(words, { env: { RINGLOAD_PEER: peer.address } });
      const actual = outputText(result)
        .replaceAll(peer.address, 'PEER')
        .replace(/"requestId":"[0-9a-f-]{36}"/g, '"requestId":"REQUEST"');
      seen.push({ command, output: actual });
      if (!isRewriting) t.is(actual, output, command);
    }
    if (isRewriting) await writeGolden(name, seen);
  });
}
