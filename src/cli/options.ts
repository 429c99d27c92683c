/** What an option of a command is, and the options that every command has. */
import { DEFAULT_PEER } from './client/peer-list.ts';

export interface OptionSpec {
  /** Commander's notation: `-l, --long`, `--bandwidth <size>`, `--no-segmented`. */
  readonly flags: string;
  readonly description: string;
  /** Accepted, but left out of help and completion: other spellings of an option. */
  readonly hidden?: boolean;
  /** May be given more than once: its value is a list. */
  readonly repeatable?: boolean;
  /** Offered by shell completion. */
  readonly choices?: readonly string[];
}

/** Options of every command. */
export const OUTPUT_OPTIONS: readonly OptionSpec[] = [
  { flags: '--json', description: 'print one JSON document on stdout' },
  { flags: '-q, --quiet', description: 'print results and errors only' },
  { flags: '--no-color', description: 'print without colours (also: NO_COLOR)' },
];

/** Options of every command that talks to a cluster. */
export const PEER_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--peer <addresses>',
    description: `host:port[,host:port…] of peers to ask (RINGLOAD_PEER, default ${DEFAULT_PEER})`,
  },
  {
    flags: '--timeout <duration>',
    description: 'give up when nobody answers for so long (default 15s, with --wait 5m)',
  },
  {
    flags: '--token-file <file>',
    description: 'file with the bearer token (also: RINGLOAD_TOKEN)',
  },
];
