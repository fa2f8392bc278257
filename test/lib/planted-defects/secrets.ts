/** What can be wrong with secrets in a template, one at a time. */
import { DATABASE, WORKER } from './places.ts';
import { property, type TemplateDefect, text } from './planting.ts';

export const secrets: readonly TemplateDefect[] = [
  {
    what: 'a password among the variables of a worker',
    plant: text(WORKER, '"PGUSER":"sluice_worker"', '"PGUSER":"sluice_worker","PGPASSWORD":"hunter2hunter2"'),
  },
  {
    what: 'an access key in the script',
    plant: text(WORKER, 'useradd', 'export AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\\nuseradd'),
  },
  {
    what: 'a secret access key in a description',
    plant: property('compute/OrdersFleetRole', ['Description'], 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'),
  },
  {
    what: 'a private key in the script',
    plant: text(WORKER, 'useradd', '# -----BEGIN RSA PRIVATE KEY-----\\nuseradd'),
  },
  {
    what: 'a password in the address of a database',
    plant: text(
      WORKER,
      '"PGUSER":"sluice_worker"',
      '"PGUSER":"sluice_worker","DATABASE_URL":"postgres://sluice:hunter2@db/sluice"',
    ),
  },
  {
    what: 'a dynamic reference to the password',
    plant: property(DATABASE, ['DBName'], '{{resolve:secretsmanager:sluice:SecretString:password}}'),
  },
  {
    what: 'a token by chance among the variables',
    plant: text(WORKER, '"PGUSER":"sluice_worker"', '"PGUSER":"3fT9q0ZkW7xB2mLr8VdY1sHc"'),
  },
];
