/** What `scan` of a file catalog covers, the same for every implementation. */

/**
 * A root is itself and what is below `root/`; one that ends in a slash is everything that starts
 * with it; the empty one is everything.
 */
export interface CatalogRange {
  /** The path equal to the root, when it counts. */
  readonly exact: string | undefined;
  /** Everything that starts with it counts. */
  readonly prefix: string;
}

export function catalogRange(root: string): CatalogRange {
  return root === '' || root.endsWith('/')
    ? { exact: undefined, prefix: root }
    : { exact: root, prefix: `${root}/` };
}

/** The least text greater than all that start with `prefix`, which ends in an ASCII character. */
export function endOfPrefix(prefix: string): string {
  const last = prefix.length - 1;
  return prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1);
}
