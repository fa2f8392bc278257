/**
 * A security group that lets nobody in and nothing out but what it is told to.
 *
 * EC2 gives a group that names no rule for what goes out one that lets out everything. The CDK knows that, but counts
 * rules that it makes apart, those that name another group or a prefix list: this always keeps one rule in the group.
 */
import { type IResolvable, Lazy } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type { Construct } from 'constructs';

/** Of a kind that does not exist, to an address that nobody has: the CDK's own way to say nothing. */
const NOTHING_OUT = {
  cidrIp: '255.255.255.255/32',
  description: 'Disallow all traffic',
  ipProtocol: 'icmp',
  fromPort: 252,
  toPort: 86,
} satisfies ec2.CfnSecurityGroup.EgressProperty;

export interface ClosedSecurityGroupProps {
  /** Network that the group is in. */
  readonly vpc: ec2.IVpc;

  /** Who is in it, and what goes in and out. */
  readonly description: string;
}

export class ClosedSecurityGroup extends ec2.SecurityGroup {
  constructor(scope: Construct, id: string, props: ClosedSecurityGroupProps) {
    super(scope, id, { ...props, allowAllOutbound: false });
    const group = this.node.defaultChild;
    if (!(group instanceof ec2.CfnSecurityGroup)) throw new Error(`${this.node.path}: the group has no resource`);
    const own: IResolvable | (IResolvable | ec2.CfnSecurityGroup.EgressProperty)[] = group.securityGroupEgress ?? [];
    group.securityGroupEgress = Lazy.uncachedAny({
      produce: (context) => {
        const rules: unknown = context.resolve(own);
        return Array.isArray(rules) && rules.length > 0 ? rules : [NOTHING_OUT];
      },
    });
  }
}
