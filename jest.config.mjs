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
  // Two more than two cores: a third of their time tests wait, most of all the end-to-end ones for what comes again.
  maxWorkers: 4,
  testSequencer: '<rootDir>/test/slowest-first.mjs',
  testTimeout: 60_000,
};
