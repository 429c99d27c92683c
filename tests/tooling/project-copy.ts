/** A copy of the sources and of the rules that check them, for planting violations. */
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type TempFolder, tempFolder } from '../support/temp-folder.ts';

const COPIED = [
  'src',
  'scripts',
  'package.json',
  'tsconfig.json',
  'eslint.config.js',
  '.dependency-cruiser.cjs',
];

/** @param planted text by path; replaces what the copy has there. */
export async function projectCopy(planted: Readonly<Record<string, string>>): Promise<TempFolder> {
  const folder = await tempFolder('project');
  const root = process.cwd();
  for (const name of COPIED) {
    await cp(join(root, name), join(folder.path, name), { recursive: true });
  }
  await symlink(join(root, 'node_modules'), join(folder.path, 'node_modules'));
  for (const [path, text] of Object.entries(planted)) {
    await mkdir(join(folder.path, dirname(path)), { recursive: true });
    await writeFile(join(folder.path, path), text);
  }
  return folder;
}
