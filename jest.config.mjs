/**
 * Tests run from the TypeScript sources, as ES modules; types are checked apart (`npm run typecheck`).
 * Tests named *.e2e.test.ts drive the built command in network namespaces.
 */
export default {
  testMatch: ['<rootDir>/packages/*/test/**/*.test.ts'],
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'es6' }, sourceMaps: 'inline' },
    ],
  },
  moduleNameMapper: {
    '^@wirestream/(core|fuzz)/(.*?)(\\.js)?$': '<rootDir>/packages/$1/src/$2.ts',
    '^@wirestream/(core|fuzz)$': '<rootDir>/packages/$1/src/index.ts',
    '^(\\.{1,2}/.*)\\.js$': ['$1.ts', '$1.js'],
  },
  testTimeout: 20_000,
};
