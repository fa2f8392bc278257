/**
 * What the instances of a fleet boot from: Amazon Linux 2023 for Graviton.
 *
 * Pinned by region, so that a deploy without a change replaces nothing; without a pin the newest at every deploy.
 */
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import { IMAGE_PARAMETER } from './image-parameter.ts';

/** Image ids by region. */
export type PinnedImages = Readonly<Record<string, string>>;

/** The image that is pinned; with no pin at all the newest. A deployment to a region that has none among pins fails. */
export function fleetImage(pinned: PinnedImages): ec2.IMachineImage {
  if (Object.keys(pinned).length > 0) return ec2.MachineImage.genericLinux({ ...pinned });
  return ec2.MachineImage.fromSsmParameter(IMAGE_PARAMETER, { os: ec2.OperatingSystemType.LINUX });
}
