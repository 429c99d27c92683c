/**
 * An order of test files in which none of the longest is left to run alone at the end.
 *
 * @param {readonly string[]} longest parts of paths, the longest file first
 * @returns {(a: string, b: string) => number}
 */
export function longestFirst(longest) {
  const rank = (file) => {
    const place = longest.findIndex((part) => file.includes(part));
    return place < 0 ? longest.length : place;
  };
  return (a, b) => rank(a) - rank(b) || (a < b ? -1 : 1);
}
