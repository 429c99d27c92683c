#!/usr/bin/env node
/**
 * The `ringload` program. Sets the exit code and lets the event loop run empty, so that no output
 * is cut off.
 */
import { runCli } from './program.ts';

const { argv, env, stdout, stderr } = process;

try {
  process.exitCode = await runCli(argv.slice(2), { stdout, stderr, env });
} catch (error) {
  // Why here: `runCli` reports what commands throw; this is a fault in the reporting itself.
  stderr.write(`ringload: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 70;
}
