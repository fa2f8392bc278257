/**
 * The topic that alarms tell: encrypted, TLS only, and published to by CloudWatch of this account and nobody else.
 *
 * Its key is its own: CloudWatch may use it, and with the key of the queues it would be let in on the messages too.
 */
import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as sns from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';

export interface AlarmTopicProps {
  /** What the mails come from. */
  readonly displayName: string;

  /**
   * Addresses that get a mail; each has to confirm the one that SNS sends first.
   *
   * @default none: whoever is to be told subscribes to the topic
   */
  readonly emails?: readonly string[];
}

export class AlarmTopic extends Construct {
  readonly topic: sns.Topic;
  readonly encryptionKey: kms.Key;

  constructor(scope: Construct, id: string, props: AlarmTopicProps) {
    super(scope, id);
    this.encryptionKey = new kms.Key(this, 'Key', {
      description: `Alarms: ${props.displayName}`,
      enableKeyRotation: true,
      // Nothing is kept under it: SNS holds a message for minutes.
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.topic = new sns.Topic(this, 'Topic', {
      displayName: props.displayName,
      masterKey: this.encryptionKey,
      enforceSSL: true,
    });
    this.#letCloudWatchPublish();
    for (const email of props.emails ?? []) this.topic.addSubscription(new EmailSubscription(email));
  }

  /** Both without the condition would let any account's alarm in: the service is the same for all of them. */
  #letCloudWatchPublish(): void {
    const common = {
      principals: [new iam.ServicePrincipal('cloudwatch.amazonaws.com')],
      conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
    };
    this.topic.addToResourcePolicy(
      new iam.PolicyStatement({
        sid: 'AlarmsOfThisAccount',
        actions: ['sns:Publish'],
        resources: [this.topic.topicArn],
        ...common,
      }),
    );
    // In the policy of a key, * means that key.
    this.encryptionKey.addToResourcePolicy(
      new iam.PolicyStatement({
        sid: 'AlarmsOfThisAccount',
        actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
        resources: ['*'],
        ...common,
      }),
    );
  }
}
