/** What answers are written to: an answer of `node:http`, or one of our own. */
export interface ClientResponse {
  readonly headersSent: boolean;
  /** Time without progress after which the client is cut off; 0: it may take all the time. */
  readonly socket: { setTimeout(ms: number): unknown } | null;
  /** @param headers names and values in turn */
  writeHead(status: number, headers: string[]): unknown;
  /** `done` is called when the system has taken them; or never, or with an error. */
  write(bytes: Uint8Array, done: (error?: Error | null) => void): unknown;
  /** The last bytes, if any. */
  end(bytes?: Uint8Array, done?: () => void): unknown;
  /** The next bytes follow on `room` in memory: the head may be put at its end. */
  useRoom?(room: Buffer): void;
  writeContinue(): void;
  destroy(): unknown;
  /** Answered, or nobody waits for it any more. */
  once(event: 'close', listener: () => void): unknown;
  on(event: 'error', listener: () => void): unknown;
}

/** What was asked, whoever has read it. Plain. */
export interface RequestHead {
  readonly method: string;
  readonly target: string;
  /** Names and values in turn, as received. */
  readonly headers: readonly string[];
}
