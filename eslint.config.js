import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** The protocol does no I/O: these folders see no sockets, files, clock or entropy except through their arguments. */
const PROTOCOL = [
  'slab',
  'offload',
  'noise',
  'messages',
  'cookie',
  'control',
  'device',
  'stream',
  'userspace',
  'capture',
  'config',
  'uapi',
  'sim',
];
const NO_IO = 'The protocol does no I/O: take it as an argument, or put it into a driver (linux/, portable/).';

export default tseslint.config(
  { ignores: ['**/dist/**', '**/node_modules/**', 'coverage/**', 'fixtures/**'] },
  js.configs.recommended,
  ...tseslint.configs.recommended,
  {
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      eqeqeq: ['error', 'always'],
      'no-constant-condition': ['error', { checkLoops: false }],
    },
  },
  {
    files: ['**/*.mjs', '**/*.js'],
    languageOptions: {
      globals: Object.fromEntries(
        [
          'process',
          'fetch',
          'console',
          'performance',
          'Buffer',
          'URL',
          'setTimeout',
          'clearTimeout',
          'setInterval',
          'clearInterval',
        ].map((n) => [n, 'readonly']),
      ),
    },
  },
  {
    files: PROTOCOL.map((folder) => `packages/core/src/${folder}/**/*.ts`),
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            { regex: '^node:(?!crypto$)', message: NO_IO },
            { regex: '^(koffi|fs|net|dgram|os|child_process|worker_threads)$', message: NO_IO },
            { regex: '/(linux|portable)/', message: NO_IO },
          ],
        },
      ],
      'no-restricted-globals': [
        'error',
        ...['process', 'setTimeout', 'setInterval', 'setImmediate', 'performance', 'fetch', 'crypto', 'console'].map(
          (name) => ({ name, message: NO_IO }),
        ),
      ],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: NO_IO },
        { object: 'Math', property: 'random', message: NO_IO },
      ],
      'no-restricted-syntax': [
        'error',
        { selector: 'NewExpression[callee.name="Date"][arguments.length=0]', message: NO_IO },
        {
          selector: 'CallExpression[callee.name=/^(randomBytes|randomFillSync|randomInt|getRandomValues)$/]',
          message: NO_IO,
        },
      ],
    },
  },
  {
    // node:crypto computes; only the native provider needs it, and of it only what neither draws entropy nor waits.
    files: PROTOCOL.filter((f) => f !== 'noise').map((folder) => `packages/core/src/${folder}/**/*.ts`),
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            { regex: '^node:', message: NO_IO },
            { regex: '^(koffi|fs|net|dgram|os|child_process|worker_threads)$', message: NO_IO },
            { regex: '/(linux|portable)/', message: NO_IO },
          ],
        },
      ],
    },
  },
);
