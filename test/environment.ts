/** Settings that come from the environment, as a test wants them, and as they were when it is over. */
import { afterwards } from './local/machine/machine.ts';

export function setEnvironment(environment: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(environment)) {
    const before = process.env[name];
    process.env[name] = value;
    afterwards(() => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
  }
}
