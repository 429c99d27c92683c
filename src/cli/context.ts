/**
 * What a running command has at hand: the terminal, the environment, the global options, and a
 * client of the cluster. Nothing here is loaded or opened before a command asks for it.
 */
import { setMaxListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import { RingloadError } from '../base/errors.ts';
import { parseDurationMs } from '../base/units.ts';
import type { RingloadClient } from './client/client.ts';
import type { ClientOptions } from './client/peer-caller.ts';
import { DEFAULT_PEER, parsePeers } from './client/peer-list.ts';
import { type CommandInput, usageError } from './input.ts';
import type { Terminal } from './terminal.ts';

/** Most calls take milliseconds; this leaves room for an election and a busy leader. */
const CALL_TIMEOUT_DEFAULT_MS = 15_000;
/** A cluster may take that long to come back before `--wait` gives it up. */
const OUTAGE_MAX_DEFAULT_MS = 300_000;
const TIMER_MAX_MS = 2_147_483_647;
const TOKEN_MAX_LENGTH = 4096;
const INTERRUPT_LISTENERS_MAX = 64;

/** Signals that end a command, with the exit code that each stands for. */
const INTERRUPTS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

export class CliContext {
  readonly terminal: Terminal;
  readonly env: NodeJS.ProcessEnv;
  readonly json: boolean;
  readonly #input: CommandInput;
  #interrupt: AbortController | undefined;
  #interruptExitCode: number | undefined;
  readonly #listeners: (() => void)[] = [];

  constructor(terminal: Terminal, env: NodeJS.ProcessEnv, input: CommandInput) {
    this.terminal = terminal;
    this.env = env;
    this.json = input.flag('json');
    this.#input = input;
    terminal.quiet = input.flag('quiet');
    // Why: `--no-color` sets `color` to false; commands without the option have no such value.
    if (input.entries().some(([name, value]) => name === 'color' && value === false)) {
      terminal.colorAllowed = false;
    }
  }

  /** The exit code of the signal that ended the command, if one did. */
  get interruptExitCode(): number | undefined {
    return this.#interruptExitCode;
  }

  /**
   * Aborted by ^C, SIGTERM and SIGHUP, from the first call on; a second signal ends the process
   * at once.
   */
  interrupt(): AbortSignal {
    if (this.#interrupt) return this.#interrupt.signal;
    const controller = new AbortController();
    this.#interrupt = controller;
    // Why: every request of a parallel download listens to it.
    setMaxListeners(INTERRUPT_LISTENERS_MAX, controller.signal);
    for (const [name, exitCode] of Object.entries(INTERRUPTS)) {
      const onSignal = (): void => {
        this.#interruptExitCode ??= exitCode;
        controller.abort(new RingloadError('cancelled', 'interrupted'));
      };
      process.once(name, onSignal);
      this.#listeners.push(() => process.off(name, onSignal));
    }
    return controller.signal;
  }

  /** The command has ended: signals are the process's own again. */
  release(): void {
    for (const stopListening of this.#listeners.splice(0)) stopListening();
  }

  /** How `--peer` has to be repeated in a command that is suggested to the user. */
  get peerFlag(): string {
    const given = this.#input.text('peer');
    return given === undefined ? '' : ` --peer ${given}`;
  }

  callTimeoutMs(): number {
    return this.#timeoutMs() ?? CALL_TIMEOUT_DEFAULT_MS;
  }

  outageMaxMs(): number {
    return this.#timeoutMs() ?? OUTAGE_MAX_DEFAULT_MS;
  }

  /** @throws invalid_argument for peers or durations that are none, config_invalid for a token. */
  async openClient(overrides: Partial<ClientOptions> = {}): Promise<RingloadClient> {
    const peers = this.#peers();
    const timeoutMs = this.callTimeoutMs();
    const token = await this.#token();
    const signal = this.interrupt();
    const { RingloadClient } = await import('./client/client.ts');
    return new RingloadClient({
      peers,
      timeoutMs,
      signal,
      onNotice: (text) => {
        this.terminal.message(`ringload: ${text}`);
      },
      ...(token === undefined ? {} : { token }),
      ...overrides,
    });
  }

  /** Runs `action` with a client that is closed afterwards, whatever happens. */
  async withClient<T>(action: (client: RingloadClient) => Promise<T>): Promise<T> {
    const client = await this.openClient();
    try {
      return await action(client);
    } finally {
      await client.close();
    }
  }

  #peers(): string[] {
    const flag = this.#input.text('peer');
    const variable = this.env['RINGLOAD_PEER'];
    try {
      return parsePeers(
        flag ?? (variable === undefined || variable === '' ? DEFAULT_PEER : variable),
      );
    } catch (error) {
      const source = flag === undefined ? 'RINGLOAD_PEER' : '--peer';
      throw usageError(`${source}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #timeoutMs(): number | undefined {
    const text = this.#input.text('timeout');
    return text === undefined ? undefined : parseTimeoutMs('--timeout', text);
  }

  async #token(): Promise<string | undefined> {
    const file = this.#input.text('tokenFile');
    if (file === undefined) return checkedToken(this.env['RINGLOAD_TOKEN']);
    let content: string;
    try {
      content = await readFile(file, 'utf8');
    } catch (error) {
      throw new RingloadError(
        'config_invalid',
        `read the token file ${file}: ${systemWords(error)}`,
        {
          cause: error,
        },
      );
    }
    return checkedToken(content.trim());
  }
}

/** @throws invalid_argument naming the option and the rule. */
export function parseTimeoutMs(option: string, text: string): number {
  let durationMs: number;
  try {
    durationMs = parseDurationMs(text);
  } catch {
    throw usageError(`${option} takes a duration such as 250ms, 2s or 1h, not '${text}'`);
  }
  if (durationMs >= 1 && durationMs <= TIMER_MAX_MS) return durationMs;
  throw usageError(`${option} must be from 1ms to 24d, not '${text}'`);
}

/** A failed system call in words, without the path and the call that Node adds. */
export function systemWords(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return message.replace(/^[A-Z0-9_]+: /, '').replace(/, \w+ '[^]*$/, '');
}

/** What HTTP lets through as a bearer token, so that a stray line break cannot add a header. */
function checkedToken(token: string | undefined): string | undefined {
  if (token === undefined || token === '') return undefined;
  if (token.length <= TOKEN_MAX_LENGTH && /^[\x21-\x7e]+$/.test(token)) return token;
  throw new RingloadError('config_invalid', 'the bearer token is not one line of printable ASCII');
}
