/**
 * Runs commands as named steps: quiet while they succeed, their whole output when they fail.
 * Each step counts as one test in a closing line.
 */
import { spawn } from 'node:child_process';

/** @typedef {{ name: string, command: string[] }} Step */
/** @typedef {{ passed: number, failed: number, skipped: number, failures: string[], skips: string[] }} Tally */

/** @returns {Tally} */
export function emptyTally() {
  return { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] };
}

/** Adds `other` to `tally`. */
export function addTally(tally, other) {
  for (const count of ['passed', 'failed', 'skipped']) tally[count] += other[count];
  for (const list of ['failures', 'skips']) tally[list].push(...other[list]);
}

/** The plain closing line: `N passed, N failed`, then `, N skipped` when there are any. */
export function closingLine({ passed, failed, skipped }) {
  const line = `${passed} passed, ${failed} failed`;
  return skipped > 0 ? `${line}, ${skipped} skipped` : line;
}

/** Prints what failed and what was skipped once more, then the closing line; sets the exit code. */
export function close(tally) {
  if (tally.failures.length > 0) console.log('\nFailed:');
  for (const failure of tally.failures) console.log(`  ✘ ${failure}`);
  if (tally.skips.length > 0) console.log('\nSkipped:');
  for (const skip of tally.skips) console.log(`  - ${skip}`);
  console.log(`\n${closingLine(tally)}`);
  if (tally.failed > 0) process.exitCode = 1;
}

/** Runs steps one after the other; a failing one does not keep the next from running. */
export async function runSteps(/** @type {Step[]} */ steps) {
  const tally = emptyTally();
  for (const step of steps) {
    const startMs = performance.now();
    const { code, output } = await capture(step.command);
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    if (code === 0) {
      tally.passed++;
      console.log(`✔ ${step.name} (${seconds} s)`);
    } else {
      tally.failed++;
      tally.failures.push(step.name);
      console.log(`✘ ${step.name} (${seconds} s): ${step.command.join(' ')} ended with ${code}`);
      console.log(output.trimEnd().replace(/^/gm, '  '));
    }
  }
  return tally;
}

function capture([program, ...args]) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks = [];
    child.stdout.on('data', (chunk) => chunks.push(chunk));
    child.stderr.on('data', (chunk) => chunks.push(chunk));
    child.on('error', (error) => resolve({ code: 'an error', output: String(error) }));
    child.on('close', (code, signal) =>
      resolve({ code: code ?? signal, output: Buffer.concat(chunks).toString() }),
    );
  });
}
