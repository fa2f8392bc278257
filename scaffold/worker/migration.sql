-- Up Migration

create table sample_work_entries (
  id       text   primary key,
  entry_no bigint not null generated always as identity,
  note     text   not null
);

-- What the write does there, and nothing else: whoever changes the write says it here, in a migration of its own.
select grant_to_workers('insert', 'sample_work_entries');

-- Down Migration

drop table sample_work_entries;
