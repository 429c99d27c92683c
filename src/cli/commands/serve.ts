/** `serve`: runs a peer in this process until it is told to stop. */
import { envValue, FAILPOINTS_ENV, readEnv } from '../../config/env-source.ts';
import { loadConfig } from '../../config/load.ts';
import type { CommandInput } from '../input.ts';
import type { CliContext } from '../context.ts';
import { serverFlags } from './server-options.ts';
import { packageVersion } from './version.ts';

/** The node takes over signals, logging and shutdown; its promise settles when it has stopped. */
export async function runServe(_context: CliContext, input: CommandInput): Promise<number> {
  const env = readEnv();
  const loaded = await loadConfig({ flags: serverFlags(input), env });
  const { runNode } = await import('../../node/main.ts');
  const failpoints = envValue(env, FAILPOINTS_ENV);
  return runNode(loaded, await packageVersion(), failpoints);
}
