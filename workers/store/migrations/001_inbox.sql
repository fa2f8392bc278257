-- Up Migration

-- The idempotency keys of everything that was ever committed: a key and the rows that it stands for are
-- written in one transaction, so a message that is delivered again finds its key and has no effect.
create table inbox (
  consumer     text        not null,
  key          text        not null,
  payload_hash bytea       not null,
  stored_at    timestamptz not null default now(),
  primary key (consumer, key)
);

-- Why a message went to the dead-letter queue. Kept here too, because the copy there cannot always carry it.
create table rejections (
  queue       text        not null,
  message_id  text        not null,
  reason      text        not null,
  error_class text        not null,
  rejected_at timestamptz not null default now(),
  primary key (queue, message_id)
);

-- Down Migration

drop table rejections;
drop table inbox;
