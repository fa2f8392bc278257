/** What can be wrong with what an instance installs and calls in a template, one at a time. */
import { WORKER } from './places.ts';
import { type TemplateDefect, text } from './planting.ts';

export const programs: readonly TemplateDefect[] = [
  { what: 'another Node installed than the unit starts', plant: text(WORKER, 'quiet nodejs24', 'quiet nodejs22') },
  { what: 'a script that unpacks without unzip', plant: text(WORKER, ' unzip amazon-', ' amazon-') },
  {
    what: 'a script that calls an agent that is not there',
    plant: text(WORKER, ' amazon-cloudwatch-agent logrotate', ' logrotate'),
  },
  { what: 'a timer whose program is not there', plant: text(WORKER, 'agent logrotate\\n', 'agent\\n') },
  { what: 'a program that the image does not have', plant: text(WORKER, 'useradd', 'jq --version\\nuseradd') },
  {
    what: 'a file that is not in the bundle',
    plant: text(WORKER, '"FLEET_ENTRY":"index.mjs"', '"FLEET_ENTRY":"main.mjs"'),
  },
  {
    what: 'a file that is not where the bundle is unpacked',
    plant: text(WORKER, `-d '/opt/sluice/\${FLEET_NAME}'`, `-d '/opt/sluice/worker'`),
  },
  { what: 'a worker of a user that nobody makes', plant: text(WORKER, /useradd [^\\]*\\n/, '') },
  { what: 'lines that the agent may not read', plant: text(WORKER, '--mode=0640 /dev/null', '--mode=0600 /dev/null') },
  { what: 'an agent that is never started', plant: text(WORKER, '-m ec2 -s -c', '-m ec2 -c') },
  { what: 'lines that fill the disk', plant: text(WORKER, /size \d+M/, 'size 32000M') },
  { what: 'a log file that is moved under the worker that writes it', plant: text(WORKER, 'copytruncate', 'create') },
  {
    what: 'a log file that nobody looks at',
    plant: text(WORKER, 'systemctl enable --now sluice-log-rotation.timer\\n', ''),
  },
];
