/**
 * A worker's place in an Auto Scaling group:
 *
 *   Pending:Wait ──ready──▶ InService ──(notice)──▶ Terminating:Wait ──left──▶ gone
 *
 * The launch hook holds a new instance until its worker is ready; one that never is, is replaced. The termination hook
 * holds one that has to leave until its worker has drained; heartbeats keep that hook waiting meanwhile.
 *
 * Holds always: neither the metadata service nor Auto Scaling can keep a worker from working, draining or ending; both
 * hooks end by their own timeouts if nothing of this succeeds.
 */
import type { Logger } from 'pino';
import { type Leave, leaveNotice } from './leave-watch.ts';
import { LifecycleHooks } from './lifecycle-hooks.ts';
import { MetadataService } from './metadata.ts';

/** As long as the launch hook waits at the most: afterwards there is nothing to complete. */
const READY_MS_MAX = 900_000;
/** Within what systemd grants a worker beyond its drain. */
export const LEFT_MS_MAX = 15_000;

export interface InstanceSettings {
  readonly groupName: string;
  readonly launchHookName: string;
  readonly terminationHookName: string;
  readonly metadataEndpoint: string;
  readonly noticeIntervalSeconds: number;
  readonly heartbeatIntervalSeconds: number;
}

export class Instance {
  readonly #settings: InstanceSettings;
  readonly #metadata: MetadataService;
  readonly #hooks: LifecycleHooks;
  readonly #ending = new AbortController();
  readonly #log: Logger;
  #heartbeats: NodeJS.Timeout | undefined;
  #instanceId: string | undefined;

  constructor(settings: InstanceSettings, region: string | undefined, log: Logger) {
    this.#settings = settings;
    this.#log = log;
    this.#metadata = new MetadataService(settings.metadataEndpoint);
    const { groupName } = settings;
    this.#hooks = new LifecycleHooks({ groupName, region, instanceId: () => this.#knownInstanceId(), log });
  }

  /** Calls back once, when the instance has to leave. */
  async watch(onLeave: (leave: Leave) => void): Promise<void> {
    const { noticeIntervalSeconds, terminationHookName, heartbeatIntervalSeconds } = this.#settings;
    const intervalMs = noticeIntervalSeconds * 1000;
    const leave = await leaveNotice({ metadata: this.#metadata, intervalMs, log: this.#log }, this.#ending.signal);
    if (leave === undefined || this.#ending.signal.aborted) return;
    const heartbeat = () => void this.#hooks.heartbeat(terminationHookName);
    // The first at once: the hook may have waited a while for a worker that was just starting again.
    heartbeat();
    this.#heartbeats = setInterval(heartbeat, heartbeatIntervalSeconds * 1000);
    onLeave(leave);
  }

  /** The worker has reached all that it needs: the group may count on the instance. */
  async ready(): Promise<void> {
    const completed = await this.#hooks.complete(this.#settings.launchHookName, READY_MS_MAX);
    if (completed) this.#log.info('this instance is in service');
  }

  /** The worker has drained. The termination hook is completed if it waits, and only then. */
  async left(): Promise<void> {
    this.#ending.abort();
    if (this.#heartbeats === undefined) return;
    clearInterval(this.#heartbeats);
    await this.#hooks.complete(this.#settings.terminationHookName, LEFT_MS_MAX);
  }

  async #knownInstanceId(): Promise<string> {
    this.#instanceId ??= await this.#metadata.read('instance-id');
    if (this.#instanceId === undefined) throw new Error('the metadata service knows no instance-id');
    return this.#instanceId;
  }
}
