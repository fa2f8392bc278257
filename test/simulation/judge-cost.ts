/** Cost: without faults one receive a message, no extension, few deletes. */
import type { History } from './history.ts';
import { flakyFailures } from './workload.ts';

/** When nothing is left to be done. */
export function judgeCost(history: History): void {
  const { configuration, incarnations } = history;
  if (configuration.faultsEndMs > 0 || configuration.drains > 0) return;
  history.judged('cost');
  const { messages, copies } = history.queue;
  // A group that may be halted is taken one message at a time.
  if (configuration.halts) return;
  if (messages.some(({ sent }) => sent.fate === 'moved' || flakyFailures(sent.work) > 0)) return;
  const again = messages.filter(({ receipts }) => receipts.length !== 1);
  if (again.length > 0)
    history.violated('cost', `without faults ${again.map(({ messageId }) => messageId)} came again`);
  const sum = { delete: 0, changeVisibility: 0, send: 0 };
  for (const { requests } of incarnations.values()) {
    sum.delete += requests.delete;
    sum.changeVisibility += requests.changeVisibility;
    sum.send += requests.send;
  }
  const receives = new Set(messages.flatMap(({ receipts }) => receipts.map(({ answer }) => answer)));
  const deletesMax = 2 * receives.size + copies.length;
  if (sum.delete > deletesMax || sum.changeVisibility > 0 || sum.send !== copies.length) {
    history.violated('cost', `without faults ${JSON.stringify(sum)} for ${receives.size} receives`);
  }
}
