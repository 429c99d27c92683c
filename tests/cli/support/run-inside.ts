/** The program inside this process: cheaper than a child where no signal or exit is at stake. */
import { PassThrough } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { runCli } from '../../../src/cli/program.ts';
import type { CliOptions } from './run-cli.ts';

export async function runInside(
  words: readonly string[],
  { env = {} }: CliOptions = {},
): Promise<{ stdout: string; bytes: Buffer; stderr: string; exitCode: number }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const texts = Promise.all([buffer(stdout), text(stderr)]);
  const exitCode = await runCli(words, { stdout, stderr, env });
  stdout.end();
  stderr.end();
  const [bytes, complained] = await texts;
  return { stdout: bytes.toString(), bytes, stderr: complained, exitCode };
}
