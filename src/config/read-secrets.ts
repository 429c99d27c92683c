/** Secrets from the environment or from the files that the configuration names. */
import { lowerFirst } from './faults.ts';
import { readSecretFile } from './files.ts';
import { configInvalid } from './layer.ts';
import { configSchema, type ParsedConfig } from './schema.ts';
import { ConfigSecrets } from './secrets.ts';

/**
 * @throws config_invalid when one is given twice, too short, readable by others, or when there is
 *   a previous secret and no current one.
 */
export async function readSecrets(cluster: ParsedConfig['cluster']): Promise<ConfigSecrets> {
  const current = await readSecret('secret', cluster.secret, cluster.secretFile);
  const previous = await readSecret(
    'previousSecret',
    cluster.previousSecret,
    cluster.previousSecretFile,
  );
  if (previous !== undefined && current === undefined) {
    throw configInvalid('cluster.previousSecret is given without cluster.secret', {
      key: 'cluster.previousSecret',
    });
  }
  return new ConfigSecrets(current, previous);
}

async function readSecret(
  name: 'secret' | 'previousSecret',
  given: string | undefined,
  path: string,
): Promise<string | undefined> {
  const key = `cluster.${name}File`;
  if (path === '') return given;
  if (given !== undefined) {
    throw configInvalid(`cluster.${name} and ${key} are both given: keep one`, { key });
  }
  const content = await readSecretFile(path, key);
  const result = configSchema.shape.cluster.shape[name].safeParse(content);
  if (result.success) return result.data;
  const rule = result.error.issues.map((issue) => lowerFirst(issue.message)).join('; ');
  throw configInvalid(`${key}: the content of ${path} is no secret: ${rule}`, { key });
}
