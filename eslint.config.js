import nx from '@nx/eslint-plugin';
import tseslint from 'typescript-eslint';

/** Who may depend on whom, by the tags in each package.json; the layers inside a service are tests/architecture's matter. */
const boundaries = [
  { sourceTag: 'type:pure', onlyDependOnLibsWithTags: ['type:pure'] },
  // testkit and engines are for tests only; tests/architecture keeps production files off them.
  { sourceTag: 'type:wire', onlyDependOnLibsWithTags: ['type:pure', 'type:testkit'] },
  { sourceTag: 'type:executor', onlyDependOnLibsWithTags: ['type:pure', 'type:testkit'] },
  { sourceTag: 'type:platform', onlyDependOnLibsWithTags: ['type:pure', 'type:wire', 'type:testkit', 'type:engines'] },
  { sourceTag: 'type:engines', onlyDependOnLibsWithTags: ['type:pure'] },
  { sourceTag: 'type:testkit', onlyDependOnLibsWithTags: ['type:pure', 'type:engines'] },
  { sourceTag: 'type:client', onlyDependOnLibsWithTags: ['type:pure', 'type:wire', 'type:testkit'] },
  { sourceTag: 'type:service', onlyDependOnLibsWithTags: ['type:pure', 'type:wire', 'type:executor', 'type:platform', 'type:testkit'] },
  { sourceTag: 'type:example', onlyDependOnLibsWithTags: ['type:pure', 'type:client', 'type:platform'] },
  {
    sourceTag: 'type:app',
    onlyDependOnLibsWithTags: ['type:pure', 'type:client', 'type:platform', 'type:engines', 'type:example', 'type:testkit'],
  },
  {
    sourceTag: 'type:test',
    onlyDependOnLibsWithTags: [
      'type:pure',
      'type:wire',
      'type:executor',
      'type:client',
      'type:platform',
      'type:engines',
      'type:testkit',
      'type:example',
      'type:service',
    ],
  },
];

export default tseslint.config(
  { ignores: ['**/dist/**', '**/node_modules/**', '**/.headrace/**', '**/.nx/**', 'libs/contracts/src/gen/**', '**/*.{js,mjs,cjs}'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    plugins: { '@nx': nx },
    languageOptions: { parserOptions: { project: ['./tsconfig.json'], tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@nx/enforce-module-boundaries': ['error', { allow: [], depConstraints: boundaries, enforceBuildableLibDependency: false }],
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // Async methods without await are how an interface of promises is met.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/only-throw-error': 'off',
      '@typescript-eslint/prefer-promise-reject-errors': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true, allowNullish: true }],
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      '@typescript-eslint/no-unsafe-enum-comparison': 'off',
      '@typescript-eslint/no-unnecessary-type-assertion': 'off',
      '@typescript-eslint/unbound-method': 'off',
      eqeqeq: 'error',
      'no-console': ['error', { allow: ['info'] }],
    },
  },
  {
    // A bench is a command line program; what it prints is its result.
    files: ['bench/**/*.ts'],
    rules: { 'no-console': 'off' },
  },
  {
    // Tests look into answers of unknown shape on purpose; a wrong guess fails the test.
    files: ['**/*.test.ts', '**/test/**/*.ts', 'tests/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
);
