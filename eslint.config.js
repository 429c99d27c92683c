/**
 * Lint rules: typescript-eslint's strictest type-aware set, the second net under the layering
 * (the core knows no clock, randomness, process or network), and ava's rules for tests.
 */
import { createRequire } from 'node:module';
import ava from 'eslint-plugin-ava';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

const { CORE_GROUPS } = createRequire(import.meta.url)('./scripts/layers.cjs');

const inject = (what) => `inject it: the core reaches ${what} through an interface of src/base`;

const CORE_GLOBALS = [
  ['Date', 'wall time'],
  ['setTimeout', 'timers'],
  ['setInterval', 'timers'],
  ['setImmediate', 'timers'],
  ['clearTimeout', 'timers'],
  ['clearInterval', 'timers'],
  ['clearImmediate', 'timers'],
  ['process', 'the process'],
  ['fetch', 'the network'],
  ['WebSocket', 'the network'],
  ['performance', 'monotonic time'],
  ['crypto', 'randomness'],
].map(([name, what]) => ({ name, message: inject(what) }));

export default defineConfig(
  {
    ignores: [
      'dist/',
      'build/',
      'build-planted/',
      '.cache/',
      '.local-cluster/',
      'coverage/',
      'stubs/',
      'web/',
    ],
  },
  {
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      'object-shorthand': 'error',
    },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      // Messages carry values.
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      // An interface may ask for a promise where an implementation has nothing to wait for, and
      // `async` turns what is thrown into a rejection.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/cli/**'],
    rules: { 'no-console': 'error' },
  },
  {
    files: [`src/{${CORE_GROUPS.join(',')}}/**/*.ts`],
    ignores: ['**/io/**'],
    rules: {
      'no-restricted-globals': ['error', { globals: CORE_GLOBALS, checkGlobalObject: true }],
      'no-restricted-properties': [
        'error',
        { object: 'Math', property: 'random', message: inject('randomness') },
      ],
      'no-restricted-imports': [
        'error',
        {
          paths: ['node:crypto', 'crypto'].map((name) => ({
            name,
            allowImportNames: ['createHash', 'hash'],
            message: inject('randomness'),
          })),
        },
      ],
    },
  },
  {
    // The boundary to the Raft library, whose enums and classes are plain numbers and objects here.
    files: ['src/raft/library.ts', 'src/raft/library-values.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-enum-assignment': 'off',
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
    },
  },
  {
    files: ['tests/**/*.ts', 'bench/**/*.ts'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unnecessary-condition': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      '@typescript-eslint/no-unsafe-enum-assignment': 'off',
      '@typescript-eslint/no-unsafe-enum-comparison': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/no-empty-function': 'off',
    },
  },
  {
    files: ['tests/**/*.test.ts'],
    plugins: { ava },
    rules: {
      'ava/hooks-order': 'error',
      'ava/no-async-fn-without-await': 'error',
      'ava/no-commented-tests': 'error',
      'ava/no-identical-title': 'error',
      'ava/no-incorrect-deep-equal': 'error',
      'ava/no-inline-assertions': 'error',
      'ava/no-invalid-modifier-chain': 'error',
      'ava/no-nested-tests': 'error',
      'ava/no-only-test': 'error',
      'ava/no-skip-assert': 'error',
      'ava/no-todo-implementation': 'error',
      'ava/no-todo-test': 'error',
      'ava/no-unknown-modifiers': 'error',
      'ava/prefer-async-await': 'error',
      'ava/test-title': 'error',
      'ava/use-t-throws-async-well': 'error',
      'ava/use-t-well': 'error',
    },
  },
);
