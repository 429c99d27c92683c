/** Writes the generated pages anew: `node build/tests/docs/write.js`. */
import { writeFile } from 'node:fs/promises';
import { generatedDocuments } from './documents.ts';

for (const { name, url, content } of generatedDocuments()) {
  await writeFile(url, content);
  console.log(`wrote docs/${name}`);
}
