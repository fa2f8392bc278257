/**
 * The addresses of S3 in each region, as AWS's own managed prefix list: what a security group can name to let out to S3
 * through a gateway endpoint, which has no security group itself.
 *
 * A template cannot ask for the list's id, and a look-up needs an account: the ids stand here. Each is as two independent
 * public copies have it (docs/network.md); none was seen in an account. A region that is not here is refused by
 * CloudFormation before it makes anything.
 */
import { Aws, CfnMapping, type Stack } from 'aws-cdk-lib';

const S3_PREFIX_LIST_IDS = {
  'ap-northeast-1': 'pl-61a54008',
  'ap-northeast-2': 'pl-78a54011',
  'ap-northeast-3': 'pl-a4a540cd',
  'ap-south-1': 'pl-78a54011',
  'ap-southeast-1': 'pl-6fa54006',
  'ap-southeast-2': 'pl-6ca54005',
  'ca-central-1': 'pl-7da54014',
  'eu-central-1': 'pl-6ea54007',
  'eu-north-1': 'pl-c3aa4faa',
  'eu-west-1': 'pl-6da54004',
  'eu-west-2': 'pl-7ca54015',
  'eu-west-3': 'pl-23ad484a',
  'sa-east-1': 'pl-6aa54003',
  'us-east-1': 'pl-63a5400a',
  'us-east-2': 'pl-7ba54012',
  'us-west-1': 'pl-6ba54002',
  'us-west-2': 'pl-68a54001',
} as const;

/** The id of S3's prefix list in the region that `stack` is deployed to. */
export function s3PrefixListId(stack: Stack): string {
  const mapping = Object.fromEntries(Object.entries(S3_PREFIX_LIST_IDS).map(([region, Id]) => [region, { Id }]));
  const lists = new CfnMapping(stack, 'S3PrefixLists', { mapping });
  return lists.findInMap(Aws.REGION, 'Id');
}
