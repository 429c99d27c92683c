import { readFile } from 'node:fs/promises';
import test from 'ava';
import { ERROR_TABLE } from '../../src/base/errors.ts';
import { CONFIG_OPTIONS } from '../../src/config/options.ts';
import { METRIC_TABLE } from '../../src/obs/metric-table.ts';
import { generatedDocuments } from './documents.ts';

for (const { name, url, content } of generatedDocuments()) {
  test(`docs: ${name} is what the source generates`, async (t) => {
    t.is(await readFile(url, 'utf8'), content);
  });
}

test('docs: every option, variable, error code and metric is on its page', (t) => {
  const pages = new Map(generatedDocuments().map(({ name, content }) => [name, content]));
  const expected = {
    'CONFIGURATION.md': CONFIG_OPTIONS.flatMap(({ key, envName, flagName, secret }) => [
      key,
      envName,
      ...(secret ? [] : [flagName!]),
    ]),
    'ERRORS.md': Object.keys(ERROR_TABLE),
    'METRICS.md': Object.keys(METRIC_TABLE).map((name) => `ringload_${name}`),
  };
  for (const [name, words] of Object.entries(expected)) {
    for (const word of words) t.true(pages.get(name)!.includes(`\`${word}`), `${word} in ${name}`);
  }
});
