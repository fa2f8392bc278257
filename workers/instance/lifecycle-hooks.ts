/**
 * What an instance tells its Auto Scaling group while a lifecycle hook holds it: that it goes on, and that it is done.
 *
 * Holds always: a call ends within CALL_MS_MAX, whatever it waits for, credentials too; an action that is not there is
 * done. Nothing here is needed for a drain: a hook that hears nothing ends by its own timeout.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AutoScalingClient,
  CompleteLifecycleActionCommand,
  RecordLifecycleActionHeartbeatCommand,
} from '@aws-sdk/client-auto-scaling';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import type { Logger } from 'pino';

const CONNECT_MS_MAX = 3_000;
const CALL_MS_MAX = 5_000;
const PAUSE_MIN_MS = 500;
const PAUSE_MAX_MS = 8_000;

/** How Auto Scaling says that the instance waits for nothing: at the start of a worker that is no new one, for example. */
const NO_ACTION = /no active lifecycle action/i;

export interface LifecycleHooksOptions {
  readonly groupName: string;
  readonly region: string | undefined;
  /** Asked for at each call until it is known: it may be out of reach at first. */
  readonly instanceId: () => Promise<string>;
  readonly log: Logger;
}

export class LifecycleHooks {
  readonly #options: LifecycleHooksOptions;
  readonly #client: AutoScalingClient;

  constructor(options: LifecycleHooksOptions) {
    this.#options = options;
    this.#client = new AutoScalingClient({
      ...(options.region === undefined ? {} : { region: options.region }),
      maxAttempts: 1,
      requestHandler: new NodeHttpHandler({
        connectionTimeout: CONNECT_MS_MAX,
        requestTimeout: CALL_MS_MAX,
        throwOnRequestTimeout: true,
      }),
    });
  }

  /** The hook's timeout counts from now again. A heartbeat that fails is told in the log: the next one comes soon. */
  async heartbeat(hookName: string): Promise<void> {
    const { log } = this.#options;
    try {
      await this.#call(hookName, (action, abortSignal) =>
        this.#client.send(new RecordLifecycleActionHeartbeatCommand(action), { abortSignal }),
      );
    } catch (error) {
      if (!isNoAction(error)) log.warn({ err: error }, `cannot tell the hook ${hookName} that work goes on`);
    }
  }

  /**
   * The group goes on with the instance. Tried again for `patienceMs`, and told in the log when it did not succeed.
   *
   * @returns whether an action was completed
   */
  async complete(hookName: string, patienceMs: number): Promise<boolean> {
    const giveUpAtMs = performance.now() + patienceMs;
    for (let pauseMs = PAUSE_MIN_MS; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS)) {
      try {
        await this.#call(hookName, (action, abortSignal) =>
          this.#client.send(new CompleteLifecycleActionCommand({ ...action, LifecycleActionResult: 'CONTINUE' }), {
            abortSignal,
          }),
        );
        return true;
      } catch (error) {
        if (isNoAction(error)) return false;
        if (performance.now() + pauseMs >= giveUpAtMs) {
          this.#options.log.error({ err: error }, `cannot complete the hook ${hookName}; it ends by its own timeout`);
          return false;
        }
        await sleep(pauseMs);
      }
    }
  }

  async #call<Output>(
    hookName: string,
    send: (action: LifecycleAction, signal: AbortSignal) => Promise<Output>,
  ): Promise<Output> {
    const { groupName, instanceId } = this.#options;
    const signal = AbortSignal.timeout(CALL_MS_MAX);
    const over = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    const call = async () =>
      send({ AutoScalingGroupName: groupName, LifecycleHookName: hookName, InstanceId: await instanceId() }, signal);
    // The abort does not reach credentials that do not come.
    return Promise.race([call(), over]);
  }
}

interface LifecycleAction {
  readonly AutoScalingGroupName: string;
  readonly LifecycleHookName: string;
  readonly InstanceId: string;
}

function isNoAction(error: unknown): boolean {
  return error instanceof Error && NO_ACTION.test(error.message);
}
