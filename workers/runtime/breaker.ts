/**
 * The breaker between a worker and its database.
 *
 *   closed ──(a batch is held)──▶ open ──(a probe answers)──▶ half-open
 *      ▲                          │ ▲ ▲                        │    │
 *      │          (a probe fails) └─┘ └───(a batch is held)────┘    │
 *      └─────────────────────(a batch commits)──────────────────────┘
 *
 * While it is open nothing is received: each receive raises a message's receive count, and a database that
 * is away would march healthy messages into the dead-letter queue. It therefore probes with a query, never
 * with a message. An answer is no proof, since a missing table answers too: it lets one batch through, and
 * until that commits each further failure doubles the wait.
 *
 * Holds always: `probeAtMs` is set exactly while it is open, `awaySinceMs` exactly while it is not closed. Only the
 * outage changes it.
 */
import assert from 'node:assert/strict';

export interface BreakerLimits {
  /** Wait before the first probe; doubles up to `probeMaxMs` until a batch commits. */
  readonly probeMinMs: number;
  readonly probeMaxMs: number;
}

/** A failover takes half a minute: ask often at first, and seldom enough not to weigh on a database that is starting. */
export const BREAKER_LIMITS: BreakerLimits = { probeMinMs: 250, probeMaxMs: 5_000 };

type State =
  | { readonly name: 'closed' }
  | { readonly name: 'open'; readonly sinceMs: number; readonly probeAtMs: number; readonly waitMs: number }
  | { readonly name: 'half-open'; readonly sinceMs: number; readonly waitMs: number };

export class Breaker {
  readonly #limits: BreakerLimits;
  #state: State = { name: 'closed' };

  constructor(limits: BreakerLimits = BREAKER_LIMITS) {
    this.#limits = limits;
  }

  get state(): State['name'] {
    return this.#state.name;
  }

  /** Whether anything may be received or written at all. */
  get admits(): boolean {
    return this.#state.name !== 'open';
  }

  /** Since when what is kept could not be committed, however often a probe was answered; undefined while closed. */
  get awaySinceMs(): number | undefined {
    return this.#state.name === 'closed' ? undefined : this.#state.sinceMs;
  }

  /** When the next probe is due, on the monotonic clock; undefined unless open. */
  get probeAtMs(): number | undefined {
    return this.#state.name === 'open' ? this.#state.probeAtMs : undefined;
  }

  /** A batch could not be stored because the database is away. */
  failed(nowMs: number): void {
    // Batches that were under way when it opened fail too: they say nothing new.
    if (this.#state.name === 'closed') this.#state = opened(nowMs, nowMs, this.#limits.probeMinMs);
    else if (this.#state.name === 'half-open') this.#state = this.#again(this.#state, nowMs);
  }

  probeFailed(nowMs: number): void {
    assert(this.#state.name === 'open', 'only an open breaker probes');
    this.#state = this.#again(this.#state, nowMs);
  }

  probeAnswered(): void {
    assert(this.#state.name === 'open', 'only an open breaker probes');
    const { sinceMs, waitMs } = this.#state;
    this.#state = { name: 'half-open', sinceMs, waitMs };
  }

  /** What comes as the next trial is kept from now on: nothing that was kept before is in hand any more. */
  nothingKept(nowMs: number): void {
    if (this.#state.name === 'half-open') this.#state = { ...this.#state, sinceMs: nowMs };
  }

  committed(): void {
    // A commit that was under way when it opened may still succeed: it proves nothing about now.
    if (this.#state.name === 'half-open') this.#state = { name: 'closed' };
  }

  #again({ sinceMs, waitMs }: { sinceMs: number; waitMs: number }, nowMs: number): State {
    return opened(sinceMs, nowMs, Math.min(waitMs * 2, this.#limits.probeMaxMs));
  }
}

function opened(sinceMs: number, nowMs: number, waitMs: number): State {
  return { name: 'open', sinceMs, probeAtMs: nowMs + waitMs, waitMs };
}
