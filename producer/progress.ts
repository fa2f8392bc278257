/**
 * Progress as a person sees it: a bar with rate and time left on a terminal, a plain line now and then elsewhere.
 *
 * Holds always: colour and cursor movements go to a terminal only; the last line is written in either case, unless
 * nothing was worth a line.
 */
import { Presets, SingleBar } from 'cli-progress';
import pc from 'picocolors';

/** Where progress is written: process.stderr, or anything like it. */
export type ProgressStream = NodeJS.WritableStream & { readonly isTTY?: boolean };

export interface Progress {
  /** How much is done by now; may be called as often as one likes. */
  update(done: number): void;
  /** Writes the last line, with how much was done in the end. */
  end(): void;
}

export interface ProgressOptions {
  /** What is being done, such as `sending`. */
  readonly title: string;
  /** What is counted, such as `messages`; empty where the title says it. */
  readonly unit: string;
  readonly total: number;
  readonly stream: ProgressStream;
  /** Nothing is written, not even in the end, about what takes less than this. @default 0 */
  readonly quietMs?: number;
  /** @default the monotonic clock */
  readonly nowMs?: () => number;
}

/** Plain lines are for logs: often enough to see that it lives, seldom enough to read. */
const LINE_EVERY_MS = 5_000;
/** Faster than the eye wants it costs more than it tells. */
const BAR_FRAMES_PER_SECOND = 10;

export function showProgress(options: ProgressOptions): Progress {
  return options.stream.isTTY === true ? bar(options) : lines(options);
}

function bar({ title, unit, total, stream, quietMs = 0, nowMs = monotonicMs }: ProgressOptions): Progress {
  const startedMs = nowMs();
  const counted = unit && ` ${unit}`;
  // False where the person has asked for no colour.
  const colour = pc.createColors(pc.isColorSupported);
  const rate = (done: number) => ({ rate: perSecond(done, nowMs() - startedMs) });
  const singleBar = new SingleBar(
    {
      stream,
      fps: BAR_FRAMES_PER_SECOND,
      format: `${title} ${colour.cyan('{bar}')} {value}/{total}${counted}, {rate}/s, {eta_formatted} left`,
      barsize: 20,
      hideCursor: true,
      // A signal has its own handling: it drains, and then this bar is ended like any other.
      gracefulExit: false,
    },
    Presets.shades_classic,
  );
  let done = 0;
  const draw = () => {
    if (singleBar.isActive) singleBar.update(done, rate(done));
    else if (nowMs() - startedMs >= quietMs) singleBar.start(total, done, rate(done));
  };
  draw();
  return {
    update: (now) => {
      done = now;
      draw();
    },
    end: () => {
      if (!singleBar.isActive) return;
      draw();
      singleBar.stop();
    },
  };
}

function lines({ title, unit, total, stream, quietMs = 0, nowMs = monotonicMs }: ProgressOptions): Progress {
  const startedMs = nowMs();
  const counted = unit && ` ${unit}`;
  let done = 0;
  let nextLineMs = startedMs + (quietMs || LINE_EVERY_MS);
  let isQuiet = quietMs > 0;
  const write = (ending: string) => {
    stream.write(`${title}: ${done} of ${total}${counted}, ${perSecond(done, nowMs() - startedMs)}/s${ending}\n`);
  };
  return {
    update: (now) => {
      done = now;
      if (nowMs() < nextLineMs) return;
      isQuiet = false;
      nextLineMs = nowMs() + LINE_EVERY_MS;
      const elapsedSeconds = (nowMs() - startedMs) / 1000;
      write(done === 0 ? '' : `, ${Math.ceil(((total - done) / done) * elapsedSeconds)} s left`);
    },
    end: () => {
      if (!isQuiet) write(`, ${((nowMs() - startedMs) / 1000).toFixed(1)} s in all`);
    },
  };
}

function monotonicMs(): number {
  return performance.now();
}

function perSecond(count: number, ms: number): number {
  return ms <= 0 ? 0 : Math.round((count / ms) * 1000);
}
