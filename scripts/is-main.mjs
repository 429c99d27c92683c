import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Whether the module with that `import.meta.url` is the program that was started. */
export function isMain(moduleUrl) {
  return (
    process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(moduleUrl)
  );
}
