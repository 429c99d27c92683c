/** What clients of S3 find around them: our keys, and nothing of whoever runs the tests. */
import { cleanEnvironment } from '../../support/child.ts';

export const KEY_ID = 'RINGLOADKEY';
export const SECRET = 'ringload-client-secret';

/** @param home where they may keep what they like */
export function clientEnvironment(home: string): NodeJS.ProcessEnv {
  return cleanEnvironment({
    AWS_ACCESS_KEY_ID: KEY_ID,
    AWS_SECRET_ACCESS_KEY: SECRET,
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_REGION: 'us-east-1',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/dev/null',
    RCLONE_CONFIG: '/dev/null',
    HOME: home,
    LC_ALL: 'C.UTF-8',
  });
}
