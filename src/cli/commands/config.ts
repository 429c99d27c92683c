/** `config check` and `config show`: what a peer would start with, and where it comes from. */
import { readEnv } from '../../config/env-source.ts';
import { loadConfig, type LoadedConfig } from '../../config/load.ts';
import type { CommandInput } from '../input.ts';
import type { CliContext } from '../context.ts';
import { printable, tableLines } from '../format.ts';
import { serverFlags } from './server-options.ts';

export async function runConfigCheck(context: CliContext, input: CommandInput): Promise<number> {
  const { configPath, preset } = await load(input);
  const file = configPath ?? null;
  if (context.json) await context.terminal.writeJson({ valid: true, file, preset });
  else await context.terminal.writeLine(`the configuration is valid (${sourceText(configPath)})`);
  return 0;
}

export async function runConfigShow(context: CliContext, input: CommandInput): Promise<number> {
  const loaded = await load(input);
  const withOrigin = input.flag('origin');
  const settings = loaded.describeOrigins();
  if (context.json) {
    await context.terminal.writeJson({
      file: loaded.configPath ?? null,
      preset: loaded.preset,
      settings: withOrigin ? settings : settings.map(({ key, value }) => ({ key, value })),
    });
    return 0;
  }
  const rows = settings.map(({ key, value, origin }) => [
    key,
    printable(value === '' ? '-' : value),
    ...(withOrigin ? [printable(origin)] : []),
  ]);
  const columns = [
    { title: 'SETTING' },
    { title: 'VALUE' },
    ...(withOrigin ? [{ title: 'ORIGIN' }] : []),
  ];
  for (const line of tableLines(columns, rows)) await context.terminal.writeLine(line);
  return 0;
}

async function load(input: CommandInput): Promise<LoadedConfig> {
  return loadConfig({ flags: serverFlags(input), env: readEnv() });
}

function sourceText(configPath: string | undefined): string {
  return configPath === undefined ? 'no file' : `file ${printable(configPath)}`;
}
