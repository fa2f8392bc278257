/**
 * In which order a queue shows what it has: a standard one in any, a FIFO one each group in its own.
 *
 * Holds always: of a FIFO group nothing is shown behind a message in flight. Nothing is changed here.
 */
import type { Random } from './random.ts';
import type { Contents } from './sqs-contents.ts';
import type { StoredMessage } from './sqs-message.ts';
import type { QueueSettings } from './sqs-surroundings.ts';

/** Each is taken out, or hidden, before the next is drawn. */
export function* inAnyOrder({ visible }: Contents, random: Random): Generator<StoredMessage> {
  while (visible.size > 0) yield visible.draw(random);
}

/** As far as `room` goes, not counting those that are to be redriven. */
export function inOrder({ source, visible }: Contents, room: number, settings: QueueSettings): StoredMessage[] {
  const shown: StoredMessage[] = [];
  const heldUp = new Set<string>();
  let [left, searched] = [visible.size === 0 ? 0 : room, 0];
  for (const message of source) {
    if (left <= 0 || searched >= settings.groupSearchMax) break;
    searched += 1;
    if (!visible.has(message)) {
      if (holdsUpItsGroup(message, settings)) heldUp.add(message.group);
    } else if (!heldUp.has(message.group)) {
      shown.push(message);
      if (message.receiveCount < settings.maxReceiveCount) left -= 1;
    }
  }
  return shown;
}

/**
 * A message in flight does. Whether one does that was given back with a delay, the documentation leaves to its reader,
 * since it calls both invisible: by the first reading it does, by the second, `delayedHeadsArePassed`, it does not.
 * An extension is told from a delay by asking for the queue's own visibility timeout, once or several times.
 */
function holdsUpItsGroup({ isDelayed }: StoredMessage, { delayedHeadsArePassed }: QueueSettings): boolean {
  return !(delayedHeadsArePassed && isDelayed);
}
