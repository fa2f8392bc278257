/** Bounds: what a worker has under way and in hand, at each receive. */
import type { History } from './history.ts';
import type { Receipt } from './sqs-message.ts';

/** As poller-control.ts and admission.ts have them. */
const POLLS_MAX = 16;
const MESSAGES_IN_PROCESS_MAX = 400;

export function judgeBounds(history: History, { worker }: Receipt): void {
  history.judged('bounds');
  const process = history.incarnations.get(worker);
  const polls = process?.pollsUnderWay ?? 0;
  if (polls > POLLS_MAX) history.violated('bounds', `${worker} has ${polls} polls under way`);
  const places = process?.placesTaken() ?? 0;
  if (places > MESSAGES_IN_PROCESS_MAX) history.violated('bounds', `${worker} has ${places} places taken`);
}
