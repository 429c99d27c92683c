/** `serve`: runs a peer in this process until it is told to stop. */
import { readEnv } from '../../config/env-source.ts';
import { loadConfig, type LoadedConfig } from '../../config/load.ts';
import { RingloadError } from '../../base/errors.ts';
import type { CommandInput } from '../command.ts';
import type { CliContext } from '../context.ts';
import { serverFlags } from './server-options.ts';

/** The node takes over signals, logging and shutdown; its promise settles when it has stopped. */
type RunNode = (loaded: LoadedConfig) => Promise<number>;

export async function runServe(_context: CliContext, input: CommandInput): Promise<number> {
  const loaded = await loadConfig({ flags: serverFlags(input), env: readEnv() });
  const runNode = await loadRunNode();
  return runNode(loaded);
}

/** Loaded by name, so that no other command pays for the server. */
async function loadRunNode(): Promise<RunNode> {
  const specifier: string = '../../node/main.ts';
  const module = (await import(specifier)) as { readonly runNode?: unknown };
  if (typeof module.runNode !== 'function') {
    throw new RingloadError('internal', 'the server part of this installation has no runNode');
  }
  return module.runNode as RunNode;
}
