/**
 * Where alarms are made: each of a kind, with the name, the text and the actions that its kind asks for.
 *
 * Holds always: an alarm's description says how severe it is, what it means and where its section of the runbook is; an
 * alarm either tells the topic, when it begins and when it is over, or is a part of one that does.
 */
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type * as sns from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';
import { type AlarmKind, alarmKinds } from './alarm-kinds.ts';

export interface AlarmRegistryProps {
  /** What the names of all alarms begin with, such as `sluice-dev`. */
  readonly namePrefix: string;

  /** Topic that is told. */
  readonly topic: sns.ITopic;

  /** Where the runbook is read, an address or a path; `#` and the kind of the alarm are put behind it. */
  readonly runbook: string;
}

/** What is watched. Missing data is no breach unless told otherwise: a queue at rest and a worker without work report none. */
export interface WatchedProps extends cloudwatch.CreateAlarmOptions {
  readonly metric: cloudwatch.IMetric;
}

export class AlarmRegistry {
  readonly #props: AlarmRegistryProps;
  readonly #alarms: cloudwatch.AlarmBase[] = [];

  constructor(props: AlarmRegistryProps) {
    this.#props = props;
  }

  /** Those that tell the topic, in the order in which they were made. */
  get alarms(): readonly cloudwatch.IAlarm[] {
    return this.#alarms;
  }

  /** @param subject what it is about, such as the name of a worker; part of the alarm's name. */
  watch(scope: Construct, kind: AlarmKind, subject: string, props: WatchedProps): cloudwatch.Alarm {
    const alarm = new cloudwatch.Alarm(scope, idOf(kind), {
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
      ...props,
      alarmName: this.#name(kind, subject),
      alarmDescription: this.#description(kind, subject),
    });
    return this.#tells(alarm);
  }

  /** Of several conditions that have to hold at once, of which none tells anybody anything by itself. */
  watchAll(
    scope: Construct,
    kind: AlarmKind,
    subject: string,
    conditions: Readonly<Record<string, WatchedProps>>,
  ): cloudwatch.CompositeAlarm {
    const parts = Object.entries(conditions).map(
      ([condition, props]) =>
        new cloudwatch.Alarm(scope, `${idOf(kind)}${idOf(condition)}`, {
          treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
          ...props,
          alarmName: `${this.#name(kind, subject)}-${condition}`,
          alarmDescription: `A condition of ${this.#name(kind, subject)}; it tells nobody anything by itself.`,
        }),
    );
    const alarm = new cloudwatch.CompositeAlarm(scope, idOf(kind), {
      compositeAlarmName: this.#name(kind, subject),
      alarmDescription: this.#description(kind, subject),
      alarmRule: cloudwatch.AlarmRule.allOf(
        ...parts.map((part) => cloudwatch.AlarmRule.fromAlarm(part, cloudwatch.AlarmState.ALARM)),
      ),
    });
    return this.#tells(alarm);
  }

  #tells<Alarm extends cloudwatch.AlarmBase>(alarm: Alarm): Alarm {
    const action = new SnsAction(this.#props.topic);
    alarm.addAlarmAction(action);
    alarm.addOkAction(action);
    this.#alarms.push(alarm);
    return alarm;
  }

  #name(kind: AlarmKind, subject: string): string {
    return `${this.#props.namePrefix}-${subject}-${kind}`;
  }

  #description(kind: AlarmKind, subject: string): string {
    const { severity, meaning } = alarmKinds[kind];
    return `${severity}, ${subject}: ${meaning} What to do: ${this.#props.runbook}#${kind}`;
  }
}

function idOf(name: string): string {
  return name.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
