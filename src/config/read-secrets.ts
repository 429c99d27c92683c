/** Secrets from the environment or from the files that the configuration names. */
import { lowerFirst } from './faults.ts';
import { readSecretFile } from './files.ts';
import { configInvalid } from './layer.ts';
import { configSchema, type ParsedConfig } from './schema.ts';
import { parseAccessKeys } from './access-keys.ts';
import { ConfigSecrets } from './secrets.ts';

/**
 * @throws config_invalid when one is given twice, too short, readable by others, or when there is
 *   a previous secret and no current one.
 */
export async function readSecrets({
  cluster,
  s3,
}: Pick<ParsedConfig, 'cluster' | 's3'>): Promise<ConfigSecrets> {
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
  return new ConfigSecrets(current, previous, await readAccessKeys(s3));
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

async function readAccessKeys(s3: ParsedConfig['s3']): Promise<ReadonlyMap<string, string>> {
  const { accessKeys: given, accessKeysFile: path } = s3;
  const key = 's3.accessKeysFile';
  if (path === '') return parseAccessKeys(given ?? '', 's3.accessKeys');
  if (given !== undefined) {
    throw configInvalid(`s3.accessKeys and ${key} are both given: keep one`, { key });
  }
  return parseAccessKeys(await readSecretFile(path, key), key);
}
