/**
 * A thread that listens on a port of its own, as the main thread sees it: started, heard, spoken to
 * in groups of messages, and started again on the same port when it breaks.
 */
import { Worker } from 'node:worker_threads';
import { RingloadError, toRingloadError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';

/** What every such thread says about itself. */
export type ThreadNews =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'deaf'; readonly systemCode: string; readonly message: string };

export interface ServingThreadOptions<From> {
  /** For logs and errors: `data endpoint`. */
  readonly what: string;
  readonly file: URL;
  /** What a thread that listens there is given. */
  readonly workerData: (port: number) => unknown;
  readonly hear: (message: From) => void;
  /** The thread is gone, and all that it was doing. */
  readonly onLost: () => void;
  readonly logger: Logger;
}

/** A thread that broke is started again so much later. */
const RESTART_MS = 1000;
/** Its memory is buffers, which do not count here; without a limit its heap grows before it collects. */
const YOUNG_GENERATION_MB = 16;

export class ServingThread<To, From extends { readonly kind: string }> {
  readonly #options: ServingThreadOptions<From>;
  #worker: Worker | undefined;
  #messages: To[] = [];
  #restart: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: ServingThreadOptions<From>) {
    this.#options = options;
  }

  /** Resolves with the port when it listens. @throws address_in_use */
  start(port: number): Promise<number> {
    const { what, file, workerData, hear, logger } = this.#options;
    const resourceLimits = { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB };
    const worker = new Worker(file, { workerData: workerData(port), resourceLimits, name: what });
    this.#worker = worker;
    let boundPort = port;
    return new Promise((resolve, reject) => {
      worker.on('message', (messages: readonly (From | ThreadNews)[]) => {
        for (const message of messages) {
          if (isListening(message)) resolve((boundPort = message.port));
          else if (isDeaf(message)) reject(asListenError(what, port, message));
          else hear(message);
        }
      });
      worker.once('error', (error) => {
        logger.error(`the thread of the ${what} broke`, { reason: error.message });
        reject(error);
      });
      worker.once('exit', () => {
        reject(new RingloadError('internal', `the thread of the ${what} ended`));
        this.#lost(worker, boundPort);
      });
    });
  }

  post(message: To): void {
    if (this.#messages.length === 0) {
      queueMicrotask(() => {
        this.#worker?.postMessage(this.#messages);
        this.#messages = [];
      });
    }
    this.#messages.push(message);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#restart);
    await this.#worker?.terminate();
    this.#options.onLost();
  }

  /** @param port where it listened; 0: it never did. */
  #lost(worker: Worker, port: number): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    if (this.#isClosed) return;
    this.#options.onLost();
    if (port === 0) return;
    this.#restart = setTimeout(() => {
      this.start(port).catch((error: unknown) => {
        const { what, logger } = this.#options;
        logger.error(`the ${what} does not listen`, { reason: toRingloadError(error).message });
        void this.#worker?.terminate();
      });
    }, RESTART_MS);
  }
}

function isListening(message: {
  readonly kind: string;
}): message is Extract<ThreadNews, { kind: 'listening' }> {
  return message.kind === 'listening';
}

function isDeaf(message: {
  readonly kind: string;
}): message is Extract<ThreadNews, { kind: 'deaf' }> {
  return message.kind === 'deaf';
}

function asListenError(
  what: string,
  port: number,
  { systemCode, message }: Extract<ThreadNews, { kind: 'deaf' }>,
): RingloadError {
  const code = systemCode === 'EADDRINUSE' ? 'address_in_use' : 'internal';
  return new RingloadError(code, `listen on port ${String(port)} for the ${what}: ${message}`);
}
