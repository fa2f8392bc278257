/**
 * What buckets were told to send for, by way of `WorkQueue`, so that no two notifications claim the same objects.
 *
 * S3 refuses a bucket's notifications as a whole when two of them overlap: the same event for keys that could be the same.
 * That would be seen when the stack is deployed; here it is seen when it is synthesized.
 */
import { Names, Stack } from 'aws-cdk-lib';
import * as s3 from 'aws-cdk-lib/aws-s3';

/** Both, because the CDK types what a bucket may lack as undefined, and TypeScript's exact optional properties do not. */
export type ProducerBucket = s3.IBucket | s3.Bucket;

export interface BucketNotification {
  readonly event: s3.EventType;
  readonly filters: readonly s3.NotificationKeyFilter[];
  /** Where it goes, for a sentence about it. */
  readonly destinationPath: string;
}

const known = new WeakMap<ProducerBucket, BucketNotification[]>();

/** Remembers `notification` unless it overlaps with another of the bucket, which is then returned. */
export function overlappingNotification(
  bucket: ProducerBucket,
  notification: BucketNotification,
): BucketNotification | undefined {
  const others = known.get(bucket) ?? [];
  const overlapping = others.find(
    (other) => eventsOverlap(other.event, notification.event) && keysOverlap(other.filters, notification.filters),
  );
  if (overlapping === undefined) known.set(bucket, [...others, notification]);
  return overlapping;
}

/** `s3:ObjectCreated:*` holds `s3:ObjectCreated:Put`. */
function eventsOverlap(one: string, other: string): boolean {
  const holds = (whole: string, part: string) => whole.endsWith('*') && part.startsWith(whole.slice(0, -1));
  return one === other || holds(one, other) || holds(other, one);
}

/** A key can begin with both prefixes if one begins with the other, and end with both suffixes likewise. */
function keysOverlap(one: readonly s3.NotificationKeyFilter[], other: readonly s3.NotificationKeyFilter[]): boolean {
  const prefixOf = (filters: readonly s3.NotificationKeyFilter[]) => filters.find(({ prefix }) => prefix)?.prefix ?? '';
  const suffixOf = (filters: readonly s3.NotificationKeyFilter[]) => filters.find(({ suffix }) => suffix)?.suffix ?? '';
  const prefixes = [prefixOf(one), prefixOf(other)] as const;
  const suffixes = [suffixOf(one), suffixOf(other)] as const;
  return (
    (prefixes[0].startsWith(prefixes[1]) || prefixes[1].startsWith(prefixes[0])) &&
    (suffixes[0].endsWith(suffixes[1]) || suffixes[1].endsWith(suffixes[0]))
  );
}

/**
 * A bucket of another stack gets its notifications from this one, as a bucket that was imported would.
 *
 * There is one view of it per stack, because its notifications are one resource: of two, the second would undo the first.
 */
export function bucketSeenFrom(stack: Stack, bucket: ProducerBucket): ProducerBucket {
  if (Stack.of(bucket) === stack) return bucket;
  const id = `Seen${Names.nodeUniqueId(bucket.node)}`;
  const seen = stack.node.tryFindChild(id);
  if (seen instanceof s3.BucketBase) return seen;
  const { bucketArn, bucketName, env } = bucket;
  return s3.Bucket.fromBucketAttributes(stack, id, { bucketArn, bucketName, account: env.account, region: env.region });
}
