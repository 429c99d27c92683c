/** Fields of a log line: flat, no secrets, no raw user text outside its own field. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Structured logging as the core sees it; `src/obs` implements it. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger whose lines all carry `fields`. */
  child(fields: LogFields): Logger;
}

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
