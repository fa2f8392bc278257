/**
 * The memory of each Graviton class of RDS, in GiB.
 *
 * Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Summary.html, the column
 * "Memory (GiB)". A class that is not here is refused: add it with what that page says.
 */

/** Of the larger sizes each is twice the one before, or as much and a half. */
const GENERAL_GIB = {
  large: 8,
  xlarge: 16,
  '2xlarge': 32,
  '4xlarge': 64,
  '8xlarge': 128,
  '12xlarge': 192,
  '16xlarge': 256,
};
const MEMORY_OPTIMIZED_GIB = {
  large: 16,
  xlarge: 32,
  '2xlarge': 64,
  '4xlarge': 128,
  '8xlarge': 256,
  '12xlarge': 384,
  '16xlarge': 512,
};

const FAMILIES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  t4g: { micro: 1, small: 2, medium: 4, large: 8, xlarge: 16, '2xlarge': 32 },
  m6g: GENERAL_GIB,
  m7g: GENERAL_GIB,
  m8g: { ...GENERAL_GIB, '24xlarge': 384, '48xlarge': 768 },
  r6g: MEMORY_OPTIMIZED_GIB,
  r7g: MEMORY_OPTIMIZED_GIB,
  r8g: { ...MEMORY_OPTIMIZED_GIB, '24xlarge': 768, '48xlarge': 1536 },
  x2g: { large: 32, xlarge: 64, '2xlarge': 128, '4xlarge': 256, '8xlarge': 512, '12xlarge': 768, '16xlarge': 1024 },
};

/** The memory of an instance class such as `db.t4g.micro`; undefined when it is not in the table. */
export function databaseClassMemoryGib(instanceClass: string): number | undefined {
  const [, family = '', size = ''] = instanceClass.split('.');
  return FAMILIES[family]?.[size];
}
