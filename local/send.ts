/** `sluice send`: a file of orders to the queues of a stage, on AWS or of the run on this machine. */
import { type Progress, showProgress } from '../producer/progress.ts';
import { type FilePlan, readOrders, surveyRetailFile } from '../producer/retail-file.ts';
import { type SendSummary, sendBatchWith, sendOrders } from '../producer/send-orders.ts';
import { wrapped } from './eighty-columns.ts';
import { number, numberOf } from './screen.ts';
import { checkSettings, openDestination, type SendingTo, urlOf } from './send-destination.ts';

/** A file that is read sooner needs no progress. */
const READING_QUIET_MS = 1_000;

export interface SendCommandOptions extends SendingTo {
  readonly file: string;
  readonly json: boolean;
  readonly output: NodeJS.WritableStream;
  readonly progress: NodeJS.WriteStream;
  readonly signal: AbortSignal;
}

/** @throws Error in one sentence; RetailFileError when the file is at fault and nothing was sent. */
export async function send(options: SendCommandOptions): Promise<SendSummary> {
  const destination = openDestination(options);
  const { client, stage, journal } = destination;
  try {
    // Known before the file is read rather than after it.
    if (journal === undefined) await checkSettings(client);
    const plan = await survey(options);
    const messagesTotal = plan.messages.orders + plan.messages.ledger;
    const queueUrls = {
      orders: await urlOf(destination, `sluice-${stage}-orders`, options.signal),
      ledger: await urlOf(destination, `sluice-${stage}-ledger.fifo`, options.signal),
    };
    const progress = showProgress({
      title: 'sending',
      unit: 'messages',
      total: messagesTotal,
      stream: options.progress,
    });
    const summary = await sendOrders({
      orders: readOrders(plan),
      queueUrls,
      sendBatch: sendBatchWith(client),
      messagesTotal,
      signal: options.signal,
      onAccepted: (message) => journal?.accepted(message),
      onProgress: ({ acceptedMessages }) => progress.update(acceptedMessages),
    }).finally(() => progress.end());
    options.output.write(`${options.json ? JSON.stringify(summary, null, 2) : wrapped(sentence(summary))}\n`);
    return summary;
  } finally {
    client.destroy();
    await journal?.close();
  }
}

async function survey({ file, signal, progress: stream }: SendCommandOptions): Promise<FilePlan> {
  let reading: Progress | undefined;
  try {
    return await surveyRetailFile(file, {
      signal,
      onProgress: ({ kilobytesRead, kilobytesTotal: total }) => {
        reading ??= showProgress({ title: 'reading', unit: 'kB', total, stream, quietMs: READING_QUIET_MS });
        reading.update(kilobytesRead);
      },
    });
  } finally {
    reading?.end();
  }
}

function sentence({ orders, messages, requests, retriedEntries, seconds, interrupted }: SendSummary): string {
  const to = `${numberOf(messages.orders, 'message')} to orders, ${number(messages.ledger)} to ledger`;
  const cost = `${numberOf(requests, 'request')} (${numberOf(retriedEntries, 'entry', 'entries')} sent again)`;
  return `${interrupted ? 'interrupted after' : 'sent'} ${numberOf(orders, 'order')}: ${to}, in ${seconds.toFixed(1)} s with ${cost}`;
}
