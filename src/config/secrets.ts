/**
 * Secrets travel in an object of their own that neither JSON nor the inspector shows, so that
 * logging a configuration, or an object that holds one, cannot leak them.
 */
export class ConfigSecrets {
  readonly #clusterSecret: string | undefined;
  readonly #previousClusterSecret: string | undefined;
  readonly #s3AccessKeys: ReadonlyMap<string, string>;

  constructor(
    clusterSecret?: string,
    previousClusterSecret?: string,
    s3AccessKeys: ReadonlyMap<string, string> = new Map(),
  ) {
    this.#clusterSecret = clusterSecret;
    this.#previousClusterSecret = previousClusterSecret;
    this.#s3AccessKeys = s3AccessKeys;
    Object.freeze(this);
  }

  /** Undefined: peers do not authenticate each other. */
  get clusterSecret(): string | undefined {
    return this.#clusterSecret;
  }

  /** Also accepted, never offered: for changing the secret without stopping the cluster. */
  get previousClusterSecret(): string | undefined {
    return this.#previousClusterSecret;
  }

  /** Secrets of S3 clients by access key id. */
  get s3AccessKeys(): ReadonlyMap<string, string> {
    return this.#s3AccessKeys;
  }

  /** Every value, for a log that blanks them out. */
  values(): string[] {
    const ofCluster = [this.#clusterSecret, this.#previousClusterSecret];
    return [...ofCluster, ...this.#s3AccessKeys.values()].filter((value) => value !== undefined);
  }

  toJSON(): string {
    return '(hidden)';
  }
}
