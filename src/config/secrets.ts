/**
 * Secrets travel in an object of their own that neither JSON nor the inspector shows, so that
 * logging a configuration, or an object that holds one, cannot leak them.
 */
export class ConfigSecrets {
  readonly #clusterSecret: string | undefined;
  readonly #previousClusterSecret: string | undefined;

  constructor(clusterSecret?: string, previousClusterSecret?: string) {
    this.#clusterSecret = clusterSecret;
    this.#previousClusterSecret = previousClusterSecret;
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

  /** Every value, for a log that blanks them out. */
  values(): string[] {
    return [this.#clusterSecret, this.#previousClusterSecret].filter(
      (value) => value !== undefined,
    );
  }

  toJSON(): string {
    return '(hidden)';
  }
}
