/** The page about planted defects, from their table. */
import { PLANTED_DEFECTS } from './planted-defects.ts';

export function plantedDefectsPage(): string {
  const rows = PLANTED_DEFECTS.map(({ name, breaks, file, tests }) => {
    const finders = tests.map((test) => `\`${test.replace(/\.js$/, '.ts')}\``).join(', ');
    return `| ${breaks} | ${name} | \`src/${file}\` | ${finders} |`;
  });
  return `# Planted defects

The suites are checked by breaking the product: \`npm run planted\` plants each of these defects into a copy of the compiled tree, one at a time, and runs the tests that should find it. A defect that no test finds fails the run, and so does a test that fails without a defect. Promises are named as in [RELIABILITY.md](RELIABILITY.md). The simulators of consensus, of whole clusters and of repair have planted defects of their own, in their test suites.

Generated from \`tests/planted/planted-defects.ts\`.

| breaks | defect | planted in | has to be found by |
|---|---|---|---|
${rows.join('\n')}
`;
}
