/** Every corruption of the identity file: no digit of it may make this peer another one. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { type RingloadError } from '../../src/base/errors.ts';
import { clusterId, raftId } from '../../src/base/ids.ts';
import { startIdentity, writeIdentity, type Identity } from '../../src/node/identity.ts';
import { DamageTally, everyDamage, type Outcome } from '../support/damages.ts';
import { tempFolder } from '../support/temp-folder.ts';

const CLUSTER = clusterId('c0000000-0000-4000-8000-000000000001');

test('identity: every corruption of the file is refused by name', async (t) => {
  t.timeout(120_000);
  await using folder = await tempFolder('identity');
  const path = join(folder.path, 'identity.json');
  const founded = await startIdentity(folder.path);
  const whole: Identity = { ...founded, membership: { clusterId: CLUSTER, raftId: raftId(1) } };
  await writeIdentity(folder.path, whole);
  const content = await readFile(path);
  const expected = JSON.stringify({ ...whole, generation: 2 });
  const tally = new DamageTally();
  for (const damage of everyDamage(content, { pageBytes: 64 })) {
    await writeFile(path, damage.bytes);
    let outcome: Outcome;
    try {
      const identity = await startIdentity(folder.path);
      outcome = JSON.stringify(identity) === expected ? 'harmless' : 'wrong';
    } catch (error) {
      const { code, message } = error as RingloadError;
      const isNamed = code === 'data_corrupt' || code === 'data_dir_foreign';
      outcome = isNamed && message.includes(path) ? 'detected' : 'wrong';
    }
    tally.add(damage, outcome);
  }
  tally.close(t, `an identity file of ${content.length} bytes`);
});
