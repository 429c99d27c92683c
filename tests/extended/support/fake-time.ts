/** Wall clocks of peers that a test sets while they run; their monotonic clocks go on. */
import { existsSync, readdirSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const LIBRARY = findLibrary();

/** What is missing, for `requires`. */
export const fakeTimeMissing = LIBRARY === undefined ? 'faketime' : undefined;

export class FakeClock {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** @param time as libfaketime takes it: `+3600`, or `@1970-01-02 00:00:00`, which then runs on. */
  static async open(folder: string, name: string, time = '+0'): Promise<FakeClock> {
    const clock = new FakeClock(join(folder, `clock-${name}`));
    await clock.set(time);
    return clock;
  }

  /** For the process that is to live by this clock. */
  get env(): Record<string, string> {
    return {
      LD_PRELOAD: LIBRARY ?? '',
      FAKETIME_TIMESTAMP_FILE: this.#path,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** A jump, for those that run already. In one step: a half-written file would be no time. */
  async set(time: string): Promise<void> {
    await writeFile(`${this.#path}.new`, `${time}\n`);
    await rename(`${this.#path}.new`, this.#path);
  }
}

function findLibrary(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const paths = readdirSync('/usr/lib').map((folder) =>
    join('/usr/lib', folder, 'faketime/libfaketimeMT.so.1'),
  );
  return paths.find((path) => existsSync(path));
}
