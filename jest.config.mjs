/** Jest with native ES modules: swc strips the types, Node loads the modules. */
import { COMPILE_CACHE_FOLDER } from './local/compile-cache.ts';

// For the processes that tests start, of which there are hundreds.
process.env.NODE_COMPILE_CACHE = COMPILE_CACHE_FOLDER;

export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: { target: 'es2024', parser: { syntax: 'typescript' }, experimental: { keepImportAttributes: true } },
        module: { type: 'es6' },
      },
    ],
  },
  // One more than two cores: what waits for processes, of which end-to-end tests do much, leaves a core to others.
  maxWorkers: 3,
  testSequencer: '<rootDir>/test/slowest-first.mjs',
  testTimeout: 60_000,
};
