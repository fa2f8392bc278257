/** Whatever is stored is encrypted, with keys that rotate and that can be got back. */
import { valuesIn } from '../synthesized.ts';
import { statementsOf } from './policies.ts';
import { found, listOf, type Rule, textOf, unless, valueAt } from './stage.ts';

/** A key that is deleted takes all that it encrypts along: a person has this long to notice. */
const PENDING_MIN_DAYS = 7;
/** What Amazon Linux boots from: a volume of another name is one more, and the image's own comes along as it is. */
const ROOT_DEVICE = '/dev/xvda';
/** What CloudWatch Logs does with the key of a group. */
const LOGS_ACTIONS = ['kms:Encrypt', 'kms:Decrypt', 'kms:GenerateDataKey', 'kms:DescribeKey'];

export const keyRules = {
  'keys rotate, and are of one region': (stage) =>
    stage.of('AWS::KMS::Key').flatMap((key) => {
      const { EnableKeyRotation, PendingWindowInDays: days, Enabled, MultiRegion } = key.properties;
      return [
        ...unless(EnableKeyRotation === true, key, 'does not rotate'),
        ...unless(
          days === undefined || Number(days) >= PENDING_MIN_DAYS,
          key,
          `is gone ${String(days)} days after its deletion`,
        ),
        ...unless(Enabled !== false, key, 'is disabled'),
        ...unless(MultiRegion !== true, key, 'is of several regions, which nothing here is'),
      ];
    }),

  'keys encrypt something': (stage) =>
    stage.of('AWS::KMS::Key').flatMap((key) => {
      const users = stage.usersOf(key).filter(({ type }) => !['AWS::IAM::Policy', 'AWS::KMS::Alias'].includes(type));
      return unless(users.length > 0, key, 'encrypts nothing');
    }),

  'log groups are encrypted and have an end': (stage) =>
    stage.of('AWS::Logs::LogGroup').flatMap((group) => {
      const key = stage.referred(group.stack, group.properties.KmsKeyId);
      return [
        ...unless(key?.type === 'AWS::KMS::Key', group, 'is not encrypted with a key of these templates'),
        ...unless(typeof group.properties.RetentionInDays === 'number', group, 'keeps lines for ever'),
      ];
    }),

  'the key of a log group lets CloudWatch Logs in for that group': (stage) =>
    stage.of('AWS::Logs::LogGroup').flatMap((group) => {
      const key = stage.referred(group.stack, group.properties.KmsKeyId);
      const arn = `:log-group:${textOf(group.properties.LogGroupName)}`;
      const isLetIn = statementsOf(key ?? { properties: {} }).some(
        ({ Effect, Action, Principal, Condition }) =>
          Effect === 'Allow' &&
          LOGS_ACTIONS.every((action) => Action.includes(action)) &&
          textOf(valueAt(Principal, 'Service')) === 'logs.<{"Ref":"AWS::Region"}>.amazonaws.com' &&
          listOf(Condition.ArnEquals?.['kms:EncryptionContext:aws:logs:arn']).some((each) =>
            textOf(each).endsWith(arn),
          ),
      );
      return unless(isLetIn, group, 'has a key that CloudWatch Logs may not use for it, and cannot be made');
    }),

  'volumes are encrypted, and go with their instance': (stage) => [
    ...stage.of('AWS::EC2::Volume').map((volume) => found(volume, 'outlives every instance')),
    ...stage.of('AWS::EC2::LaunchTemplate').flatMap((template) => {
      const devices = listOf(valueAt(template.properties.LaunchTemplateData, 'BlockDeviceMappings'));
      const isGood = devices.every((device) => {
        const ebs = valueAt(device, 'Ebs');
        return (
          valueAt(ebs, 'Encrypted') === true &&
          valueAt(ebs, 'VolumeType') === 'gp3' &&
          valueAt(ebs, 'DeleteOnTermination') === true
        );
      });
      const names = devices.map((device) => valueAt(device, 'DeviceName'));
      return [
        ...unless(devices.length > 0 && isGood, template, 'has a volume that is not encrypted, not gp3 or left behind'),
        ...unless(
          names.join() === ROOT_DEVICE,
          template,
          `says nothing of the volume that it boots from, ${ROOT_DEVICE}`,
        ),
      ];
    }),
  ],

  'buckets are encrypted, private and TLS only': (stage) =>
    stage.of('AWS::S3::Bucket').flatMap((bucket) => {
      const { BucketEncryption, PublicAccessBlockConfiguration: block } = bucket.properties;
      const policies = stage
        .of('AWS::S3::BucketPolicy')
        .filter(({ stack, properties }) => stage.referred(stack, properties.Bucket) === bucket);
      const isTlsOnly = policies.some(({ properties }) =>
        [...valuesIn(properties)].some(({ key, value }) => key === 'aws:SecureTransport' && value === 'false'),
      );
      const isPrivate = ['BlockPublicAcls', 'BlockPublicPolicy', 'IgnorePublicAcls', 'RestrictPublicBuckets'].every(
        (name) => valueAt(block, name) === true,
      );
      return [
        ...unless(BucketEncryption !== undefined, bucket, 'is not encrypted'),
        ...unless(isPrivate, bucket, 'may become public'),
        ...unless(isTlsOnly, bucket, 'takes requests without TLS'),
      ];
    }),
} satisfies Record<string, Rule>;
