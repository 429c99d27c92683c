/** What a store needs from its surroundings; `src/node` provides the real ones. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/logger.ts';
import type { Random } from '../../base/random.ts';

export interface UnderStoreDependencies {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Told of each time that a store asks to slow down. */
  readonly onThrottled?: () => void;
  /**
   * Environment variables: those that mounts name for credentials, and AWS_ENDPOINT_URL(_S3),
   * AWS_REGION, AWS_DEFAULT_REGION. The AWS SDK reads its own from the process.
   */
  readonly env: Readonly<Record<string, string | undefined>>;
}
