#!/usr/bin/env node
/**
 * The `ringload` program. Sets the exit code and lets the event loop run empty, so that no output
 * is cut off.
 */
import { RingloadError } from '../base/errors.ts';
import { checkOpenFileLimit } from '../config/open-file-limit.ts';

const { argv, env, stdout, stderr } = process;

try {
  // Why before the import: with too few of them not even the modules can be loaded.
  if (argv[2] === 'serve') checkOpenFileLimit();
  const { runCli } = await import('./program.ts');
  process.exitCode = await runCli(argv.slice(2), { stdout, stderr, env });
} catch (error) {
  // Why here: `runCli` reports what commands throw; this is what comes before, or its own fault.
  stderr.write(`ringload: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof RingloadError ? error.exitCode : 70;
}
