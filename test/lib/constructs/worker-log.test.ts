import { describe, expect, test } from '@jest/globals';
import { Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import * as iam from 'aws-cdk-lib/aws-iam';
import { WorkerLog } from '../../../lib/constructs/worker-log.ts';
import { synthesized } from '../synthesized.ts';

const { templates } = synthesized((app) => {
  const stack = new Stack(app, 'stack');
  const log = new WorkerLog(stack, 'Log', { logGroupName: '/shop/returns' });
  log.grantWrite(new iam.Role(stack, 'Role', { assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com') }));
});
const template = Template.fromJSON(templates.stack!);

describe('the log of a worker, alone in an app', () => {
  test('has a key of its own that rotates, and an end', () => {
    template.resourceCountIs('AWS::KMS::Key', 1);
    template.hasResourceProperties('AWS::KMS::Key', { EnableKeyRotation: true });
    template.hasResourceProperties('AWS::Logs::LogGroup', {
      LogGroupName: '/shop/returns',
      RetentionInDays: 30,
      KmsKeyId: { 'Fn::GetAtt': [Match.stringLikeRegexp('^LogKey'), 'Arn'] },
    });
  });

  test('is encrypted for this group, and for no other that knows the key', () => {
    template.hasResourceProperties('AWS::KMS::Key', {
      KeyPolicy: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Condition: {
              ArnEquals: {
                'kms:EncryptionContext:aws:logs:arn': {
                  'Fn::Join': ['', Match.arrayWith([':log-group:/shop/returns'])],
                },
              },
            },
          }),
        ]),
      },
    });
  });

  test('can be written, and neither read nor changed', () => {
    const policies = Object.values(template.findResources('AWS::IAM::Policy'));
    expect(policies.map(({ Properties: properties }) => properties.PolicyDocument.Statement)).toEqual([
      [
        {
          Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
          Effect: 'Allow',
          Resource: { 'Fn::GetAtt': [expect.stringMatching(/^LogGroup/), 'Arn'] },
        },
      ],
    ]);
  });
});
