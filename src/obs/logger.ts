/**
 * The log of one node: pino behind the base interface. JSON lines with `level`, `ts` (RFC 3339),
 * `peer` and `msg`, or plain text for people, on stderr.
 *
 * Writing never blocks the thread that runs Raft: lines go through a buffer of bounded size, and
 * what does not fit is dropped and counted, since a stuck log reader must not stop a peer. `close`,
 * and the end of the process, write out what is buffered.
 */
import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino';
import { RingloadError } from '../base/errors.ts';
import type { LogFields, Logger } from '../base/logger.ts';
import { formatPlain } from './plain-format.ts';
import { Redactor } from './redact.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: 'json' | 'plain';
  /** Carried by every line, such as the peer's id once it is known. */
  readonly fields?: LogFields;
  /** Values that are blanked out wherever they appear. */
  readonly secrets?: readonly string[];
  /** Takes whole lines; absent: stderr. */
  readonly destination?: { write(line: string): void };
}

export interface RootLogger extends Logger {
  readonly level: LogLevel;
  /** Takes effect on children too. @throws invalid_argument */
  setLevel(level: string): void;
  /** Lines that did not fit into the buffer. */
  readonly droppedLineCount: number;
  /** Writes out what is buffered. Lines logged later are lost. */
  close(): void;
}

/** Most bytes that wait for a slow reader of stderr. */
const BUFFER_MAX_BYTES = 4 * 1024 * 1024;

/** @throws invalid_argument for an unknown level. */
export function createLogger(options: LoggerOptions): RootLogger {
  const level = checkedLevel(options.level);
  const output = options.destination ? borrowed(options.destination) : stderrOutput();
  const root = pino(
    {
      level: 'trace',
      base: null,
      messageKey: 'msg',
      timestamp: () => `,"ts":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    options.format === 'plain' ? plain(output.stream) : output.stream,
  );
  const state = { level, redactor: new Redactor(options.secrets) };
  return new PinoRootLogger(root, state, options.fields ?? {}, output);
}

export function isLogLevel(text: string): text is LogLevel {
  return LOG_LEVELS.some((level) => level === text);
}

function checkedLevel(level: string): LogLevel {
  if (isLogLevel(level)) return level;
  const known = LOG_LEVELS.join(', ');
  throw new RingloadError('invalid_argument', `unknown log level '${level}', known are ${known}`);
}

/** Shared by a root and all its children, so that the level can change for all at once. */
interface LogState {
  level: LogLevel;
  readonly redactor: Redactor;
}

class FilteringLogger implements Logger {
  protected readonly pino: PinoLogger;
  protected readonly state: LogState;
  readonly #fields: LogFields;

  constructor(target: PinoLogger, state: LogState, fields: LogFields) {
    this.pino = target;
    this.state = state;
    this.#fields = state.redactor.fields(fields);
  }

  debug(message: string, fields?: LogFields): void {
    this.#write('debug', message, fields);
  }
  info(message: string, fields?: LogFields): void {
    this.#write('info', message, fields);
  }
  warn(message: string, fields?: LogFields): void {
    this.#write('warn', message, fields);
  }
  error(message: string, fields?: LogFields): void {
    this.#write('error', message, fields);
  }

  child(fields: LogFields): Logger {
    return new FilteringLogger(this.pino, this.state, { ...this.#fields, ...fields });
  }

  #write(level: Exclude<LogLevel, 'silent'>, message: string, fields: LogFields = {}): void {
    const { level: least, redactor } = this.state;
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(least)) return;
    this.pino[level](
      ownNames({ ...this.#fields, ...redactor.fields(fields) }),
      redactor.text(message),
    );
  }
}

class PinoRootLogger extends FilteringLogger implements RootLogger {
  readonly #output: Output;

  constructor(target: PinoLogger, state: LogState, fields: LogFields, output: Output) {
    super(target, state, fields);
    this.#output = output;
  }

  get level(): LogLevel {
    return this.state.level;
  }

  setLevel(level: string): void {
    this.state.level = checkedLevel(level);
  }

  get droppedLineCount(): number {
    return this.#output.droppedCount();
  }

  close(): void {
    this.#output.flush();
  }
}

/** Fields may not take the place of what each line has. */
function ownNames(fields: LogFields): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    kept[name === 'level' || name === 'ts' || name === 'msg' ? `${name}_` : name] = value;
  }
  return kept;
}

interface Output {
  readonly stream: DestinationStream;
  droppedCount(): number;
  flush(): void;
}

function borrowed(destination: { write(line: string): void }): Output {
  const stream = { write: (line: string) => destination.write(line) };
  return { stream, droppedCount: () => 0, flush: () => undefined };
}

function stderrOutput(): Output {
  const stream = pino.destination({ dest: 2, sync: false, maxLength: BUFFER_MAX_BYTES });
  let dropped = 0;
  stream.on('drop', () => dropped++);
  // A closed stderr (a terminal that is gone) must not take the peer with it.
  stream.on('error', () => undefined);
  const flush = (): void => {
    try {
      stream.flushSync();
    } catch {
      // Not open yet, or closed: there is nowhere left to report it.
    }
  };
  return { stream, droppedCount: () => dropped, flush };
}

function plain(stream: DestinationStream): DestinationStream {
  return { write: (line) => stream.write(formatPlain(line)) };
}
