/**
 * The few file operations that the log needs, so that one implementation of the log runs on a real
 * directory and on a simulated disk that loses and tears what was not synced.
 */

export interface LogFile {
  /** Appends all of `bytes`; they may be lost in a crash until `sync` resolved. */
  append(bytes: Uint8Array): Promise<void>;
  /** Makes the content and the size durable. After a rejection the file must not be used. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** One directory; names are plain file names. */
export interface LogFiles {
  /** How errors name a file. */
  describe(name: string): string;
  list(): Promise<readonly string[]>;
  read(name: string): Promise<Uint8Array>;
  /** A new empty file; an older one of that name is cut to nothing. */
  create(name: string): Promise<LogFile>;
  /** Opens for appending behind the first `sizeBytes`; what follows them is durably cut off. */
  openAt(name: string, sizeBytes: number): Promise<LogFile>;
  /** Atomic; durable after `syncDirectory`. An open file goes along. */
  rename(from: string, to: string): Promise<void>;
  remove(name: string): Promise<void>;
  syncDirectory(): Promise<void>;
}
