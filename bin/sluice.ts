#!/usr/bin/env node
/** The command as a person calls it. Nothing is imported statically that the cache should have the compiled code of. */
import { keepCompiledCode } from '../local/compile-cache.ts';

keepCompiledCode();
await import('./commands.ts');
