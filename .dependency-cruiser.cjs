/** Rules of dependency-cruiser, generated from the table in `scripts/layers.cjs`. */
'use strict';

const { GROUPS, DYNAMIC_ONLY, SINGLE_IMPORTER, CORE_GROUPS } = require('./scripts/layers.cjs');

const escape = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
const anyOf = (names) => `(${names.map(escape).join('|')})`;
/** The package as it lies in node_modules, and its separate type declarations. */
const packagePath = (name) => `node_modules/(@types/)?${escape(name)}/`;
const PACKAGE = '(^|/)node_modules/';
const isTypesEntry = (entry) => entry.startsWith('types:');
const isFileEntry = (entry) => entry.endsWith('.ts');

const error = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

/** A group imports itself and what its row names; nothing else of ours. */
function importRules(group, { imports }) {
  const files = imports.filter(isFileEntry);
  const typeGroups = imports.filter(isTypesEntry).map((entry) => entry.slice('types:'.length));
  const groups = imports.filter((entry) => !isTypesEntry(entry) && !isFileEntry(entry));
  const dynamicGroups = DYNAMIC_ONLY.filter(({ from }) => from === group).map(({ to }) => to);
  const seen = [group, ...groups, ...typeGroups, ...dynamicGroups];
  const allowed = [`^src/${anyOf(seen)}/`, ...files.map((file) => `^src/${escape(file)}$`)];
  const rules = [
    error(
      `layer-${group}`,
      `src/${group} may import of ours only: ${imports.join(', ') || 'nothing'}`,
      { path: `^src/${group}/` },
      { path: '^src/', pathNot: allowed },
    ),
  ];
  if (typeGroups.length > 0) {
    rules.push(
      error(
        `layer-${group}-types-only`,
        `src/${group} may import only types of: ${typeGroups.join(', ')}`,
        { path: `^src/${group}/` },
        {
          path: `^src/${anyOf(typeGroups)}/`,
          pathNot: files.map((file) => `^src/${escape(file)}$`),
          dependencyTypesNot: ['type-only'],
        },
      ),
    );
  }
  return rules;
}

/** What a group may import from outside; `io/` files are free. */
function outsideRule(group, { core, packages = [] }) {
  const allowed = packages.map(packagePath);
  const from = { path: `^src/${group}/`, pathNot: '/io/' };
  if (!core) {
    return error(
      `packages-${group}`,
      `src/${group} may use of the packages only: ${packages.join(', ') || 'none'}`,
      from,
      { path: PACKAGE, pathNot: allowed },
    );
  }
  return error(
    `pure-${group}`,
    `src/${group} outside io/ may use only: assert, crypto ${packages.join(' ')}`,
    from,
    { pathNot: ['^src/', '^(node:)?(assert|assert/strict|crypto)$', ...allowed] },
  );
}

/** `import()` of a group keeps it out of the start-up of commands that do not need it. */
const dynamicRule = ({ from, to }) =>
  error(
    `dynamic-${from}-${to}`,
    `src/${from} reaches src/${to} by dynamic import only`,
    { path: `^src/${from}/` },
    { path: `^src/${to}/`, dynamic: false, dependencyTypesNot: ['type-only'] },
  );

const singleImporterRule = (single) =>
  error(
    `one-importer-${single.package.replace(/\W+/g, '-').replace(/^-/, '')}`,
    `${single.package} is imported from ${single.from} alone`,
    { path: '^src/', pathNot: single.from },
    { path: packagePath(single.package) },
  );

module.exports = {
  forbidden: [
    error('no-cycles', 'files must not import each other in a circle', {}, { circular: true }),
    error('no-unresolvable', 'the import names nothing', {}, { couldNotResolve: true }),
    error(
      'no-undeclared-package',
      'the package is not in dependencies',
      { path: '^src/' },
      { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    ),
    error(
      'no-dev-package-in-src',
      'src must run without devDependencies (types excepted)',
      { path: '^src/' },
      { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'], pathNot: '/@types/' },
    ),
    error(
      'src-stays-in-src',
      'src imports nothing of tests, bench and scripts',
      { path: '^src/' },
      { pathNot: ['^src/', PACKAGE], dependencyTypes: ['local'] },
    ),
    error(
      'known-group',
      'every file of src belongs to a group of scripts/layers.cjs',
      { path: '^src/', pathNot: [`^src/${anyOf(Object.keys(GROUPS))}/`, '^src/index\\.ts$'] },
      {},
    ),
    error(
      'core-never-io',
      'the core gets its io injected',
      { path: `^src/${anyOf(CORE_GROUPS)}/`, pathNot: '/io/' },
      { path: '^src/[^/]+/io/' },
    ),
    error(
      'io-only-from-node',
      'only src/node wires io files together',
      { path: '^src/', pathNot: ['^src/node/', '^src/[^/]+/io/'] },
      { path: '^src/[^/]+/io/' },
    ),
    error(
      'io-own-group',
      'an io file sees the io files of its own group only',
      { path: '^src/([^/]+)/io/' },
      { path: '^src/[^/]+/io/', pathNot: '^src/$1/io/' },
    ),
    ...Object.entries(GROUPS).flatMap(([group, row]) => importRules(group, row)),
    ...Object.entries(GROUPS).map(([group, row]) => outsideRule(group, row)),
    ...DYNAMIC_ONLY.map(dynamicRule),
    ...SINGLE_IMPORTER.map(singleImporterRule),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // Without it type-only imports would not be seen.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
