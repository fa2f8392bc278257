-- Up Migration

-- The message that a key was committed with: a delivery of the same message is the same work, however a later version
-- of its schema reads it.
alter table inbox add column message_id text;

-- Old keys are found by their age and go a few at a time.
create index inbox_stored_at on inbox (stored_at);
create index rejections_rejected_at on rejections (rejected_at);

-- How far each group of a FIFO queue has come: a worker that wakes up late finds that a later message of the group was
-- committed, and has no effect. The queue is named with the time at which it was made, since the sequence numbers of
-- another queue under the same name begin anew. previous_sequence is where the fence stood before it was last moved,
-- which lets one statement move it and tell. A halted group is stored nothing of until halted_by is null again.
create table fences (
  queue             text        not null,
  message_group     text        not null,
  sequence          numeric     not null,
  previous_sequence numeric,
  halted_by         text,
  moved_at          timestamptz not null default now(),
  primary key (queue, message_group)
);
create index fences_moved_at on fences (moved_at);

-- A worker that waits for its database asks it to write here: an answer to a question proves nothing.
create table probes (
  consumer  text        primary key,
  probed_at timestamptz not null
);

-- Down Migration

drop table probes;
drop table fences;
drop index rejections_rejected_at;
drop index inbox_stored_at;
alter table inbox drop column message_id;
